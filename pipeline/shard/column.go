package shard

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/codecs/patch"
)

// keyColumn is the column of the samples' keys, in formats that have columns.
const keyColumn = "__key__"

// kind is what a field holds, by its name's last word.
type kind int

const (
	kindBytes kind = iota
	kindJSON
	kindText
	kindArray
	kindImage
	kindAudio
	kindVideo
)

const npyExt = ".npy"

func kindOf(field string) kind {
	switch path.Ext("." + field) {
	case ".json":
		return kindJSON
	case ".txt":
		return kindText
	case npyExt:
		return kindArray
	case ".jpg", ".jpeg", ".png", ".webp":
		return kindImage
	case ".flac", ".wav":
		return kindAudio
	case ".mp4":
		return kindVideo
	}
	return kindBytes
}

// arrayColumn is the column of an array's field: its name without ".npy", unless
// another field of the sample has that name.
func arrayColumn(field string, taken func(string) bool) string {
	short := strings.TrimSuffix(field, npyExt)
	if short == "npy" || strings.HasSuffix(short, npyExt) || taken(short) {
		return field
	}
	return short
}

// arrayField is the field of an array's column.
func arrayField(column string) string {
	if column == "npy" || strings.HasSuffix(column, npyExt) {
		return column
	}
	return column + npyExt
}

// parseArray reads a field that a format stores without its .npy header. It must be
// the very header that reading the shard back would make.
func parseArray(data []byte) (patch.Array, bool) {
	a, err := patch.ParseNPY(data)
	if err != nil {
		return a, false
	}
	head := npyHead(a.DType, a.Shape)
	return a, bytes.Equal(head, data[:len(data)-len(a.Data)])
}

func npyHead(dtype string, shape []int) []byte {
	return patch.AppendNPY(nil, patch.Array{DType: dtype, Shape: shape})
}

// isJSON is stricter than [json.Valid], which takes strings that are no UTF-8.
func isJSON(data []byte) bool { return utf8.Valid(data) && json.Valid(data) }
