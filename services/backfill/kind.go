package backfill

import (
	"path"
	"strings"
)

// kind is what a file is taken for, by its name alone.
type kind int

const (
	other kind = iota
	medium
	lines // .txt
	commas
	tabs
	objects // .jsonl
	parquetFile
	tarPlain
	tarGzip
	tarZstd
	zipFile
)

func (k kind) isList() bool    { return k >= lines && k <= parquetFile }
func (k kind) isArchive() bool { return k >= tarPlain }

// kindOf knows a name's extension, whatever its case.
func kindOf(name string) kind {
	name = strings.ToLower(path.Base(name))
	switch {
	case strings.HasSuffix(name, ".tar"):
		return tarPlain
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
		return tarGzip
	case strings.HasSuffix(name, ".tar.zst"), strings.HasSuffix(name, ".tar.zstd"), strings.HasSuffix(name, ".tzst"):
		return tarZstd
	case strings.HasSuffix(name, ".zip"):
		return zipFile
	case strings.HasSuffix(name, ".txt"):
		return lines
	case strings.HasSuffix(name, ".csv"):
		return commas
	case strings.HasSuffix(name, ".tsv"):
		return tabs
	case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"):
		return objects
	case strings.HasSuffix(name, ".parquet"):
		return parquetFile
	case mediaType(name) != "":
		return medium
	}
	return other
}

// mediaType is the MIME type that a medium's extension stands for, or "". It is a
// hint: nothing but the bytes decides. The system's own tables differ between machines.
func mediaType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".mov":
		return "video/quicktime"
	case ".mkv":
		return "video/x-matroska"
	case ".webm":
		return "video/webm"
	case ".avi":
		return "video/x-msvideo"
	case ".mpg", ".mpeg":
		return "video/mpeg"
	case ".ts", ".mts", ".m2ts":
		return "video/mp2t"
	case ".flv":
		return "video/x-flv"
	case ".3gp":
		return "video/3gpp"
	case ".wmv":
		return "video/x-ms-wmv"
	case ".ogv":
		return "video/ogg"
	case ".jpg", ".jpeg", ".jpe", ".jfif":
		return "image/jpeg"
	case ".png", ".apng":
		return "image/png"
	case ".webp":
		return "image/webp"
	case ".gif":
		return "image/gif"
	case ".avif":
		return "image/avif"
	case ".bmp":
		return "image/bmp"
	case ".tif", ".tiff":
		return "image/tiff"
	}
	return ""
}
