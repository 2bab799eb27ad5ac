package shard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// MDSEntry is one shard in an MDS index, as the library writes it.
type MDSEntry struct {
	ColumnEncodings []string `json:"column_encodings"`
	ColumnNames     []string `json:"column_names"`
	ColumnSizes     []*int64 `json:"column_sizes"`
	Compression     *string  `json:"compression"`
	Format          string   `json:"format"`
	Hashes          []string `json:"hashes"`
	RawData         *MDSFile `json:"raw_data"`
	Samples         int64    `json:"samples"`
	SizeLimit       *int64   `json:"size_limit"`
	Version         int      `json:"version"`
	ZipData         *MDSFile `json:"zip_data"`
}

// MDSFile is a shard's file: what the samples are read from, or what it is unpacked
// from. The library joins Basename to its folder with a slash, whatever it holds.
type MDSFile struct {
	Basename string            `json:"basename"`
	Bytes    int64             `json:"bytes"`
	Hashes   map[string]string `json:"hashes"`
}

type mdsIndex struct {
	Shards  []*MDSEntry `json:"shards"`
	Version int         `json:"version"`
}

// ReadMDSEntry reads what an index says of a shard from the shard's first bytes. Size and
// digest are those of s, whose URL is the Basename; the size before compression is in a
// zstd frame's head, and its digest nobody checks.
func ReadMDSEntry(r io.ReaderAt, s Info) (*MDSEntry, error) {
	e, err := readMDSEntry(r, s)
	if err != nil {
		return nil, fmt.Errorf("shard %s: mds: %w", s.URL, err)
	}
	return e, nil
}

func readMDSEntry(r io.ReaderAt, s Info) (*MDSEntry, error) {
	if len(s.SHA256) != 64 {
		return nil, fmt.Errorf("its SHA-256 is %q, which is none in hex", s.SHA256)
	}
	m := &mdsReader{data: r, lim: DefaultLimits()}
	h, err := m.begin(r, s.Bytes)
	if err != nil {
		return nil, err
	}
	if n := int64(len(m.offsets)/4 - 1); n != s.Samples {
		return nil, fmt.Errorf("it has %d samples, %d were to be there", n, s.Samples)
	}
	e := &MDSEntry{
		ColumnEncodings: h.ColumnEncodings, ColumnNames: h.ColumnNames, ColumnSizes: h.ColumnSizes,
		Format: MDS, Hashes: []string{"sha256"}, Samples: s.Samples, Version: mdsVersion,
	}
	file := &MDSFile{Basename: s.URL, Bytes: s.Bytes, Hashes: map[string]string{"sha256": s.SHA256}}
	if m.zip == nil {
		e.RawData = file
		return e, nil
	}
	name, zipped := strings.CutSuffix(s.URL, "."+Zstd)
	if !zipped {
		return nil, fmt.Errorf("it is compressed, but its name does not end in .%s", Zstd)
	}
	compression := Zstd
	e.Compression, e.ZipData = &compression, file
	e.RawData = &MDSFile{Basename: name, Bytes: m.offset(int(s.Samples)), Hashes: map[string]string{}}
	return e, checkFrameSize(r, s.Bytes, e.RawData.Bytes)
}

// checkFrameSize sees that the library can decompress: it wants the size in the frame.
func checkFrameSize(r io.ReaderAt, size, want int64) error {
	buf := make([]byte, min(size, zstd.HeaderMaxSize))
	if _, err := r.ReadAt(buf, 0); err != nil && err != io.EOF {
		return err
	}
	var h zstd.Header
	if err := h.Decode(buf); err != nil {
		return err
	}
	if !h.HasFCS || h.FrameContentSize != uint64(want) {
		return fmt.Errorf("its zstd frame does not say that it holds %d bytes", want)
	}
	return nil
}

// WriteMDSIndex writes an index.json (version 2). The library looks for a shard's file
// at up + Basename, seen from where the index is; with ".." only if that is a local
// folder, and then it must not be given a remote: it would keep its copies outside of
// its cache, at the same "..".
func WriteMDSIndex(w io.Writer, up string, entries []*MDSEntry) error {
	doc := mdsIndex{Version: mdsVersion, Shards: make([]*MDSEntry, len(entries))}
	urls := make([]string, len(entries))
	for i, e := range entries {
		moved := *e
		for _, f := range []**MDSFile{&moved.RawData, &moved.ZipData} {
			if *f != nil {
				file := **f
				file.Basename = up + file.Basename
				*f = &file
			}
		}
		doc.Shards[i], urls[i] = &moved, moved.RawData.Basename
	}
	if err := checkURLs(urls); err != nil {
		return fmt.Errorf("write an MDS index: %w", err)
	}
	return json.NewEncoder(w).Encode(doc)
}

// ReadMDSIndex reads the entries of an index that WriteMDSIndex wrote.
func ReadMDSIndex(r io.Reader) ([]*MDSEntry, error) {
	var doc mdsIndex
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read an MDS index: %w", err)
	}
	for _, e := range doc.Shards {
		if doc.Version != mdsVersion || e == nil || e.RawData == nil {
			return nil, errors.New("read an MDS index: it is of another version, or an entry names no file")
		}
	}
	return doc.Shards, nil
}
