package backfill

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// maxWindow is the memory that a zstd frame may ask for.
const maxWindow = 128 << 20

// unpack undoes a tar's compression as a stream. What is not compressed stays seekable,
// so that members can be passed over.
func unpack(k kind, r io.ReadSeeker, a Archive) (io.Reader, io.Closer, error) {
	packed := &countReader{r: r}
	switch k {
	case tarGzip:
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, nil, err
		}
		return &boundReader{r: z, packed: packed, a: a}, z, nil
	case tarZstd:
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return &boundReader{r: z, packed: packed, a: a}, z.IOReadCloser(), nil
	}
	return r, io.NopCloser(r), nil
}

// boundReader stops a bomb.
type boundReader struct {
	r      io.Reader
	packed *countReader
	a      Archive
	n      int64
}

func (r *boundReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if f := r.a.check(r.n, r.packed.n); f != nil {
		return n, f
	}
	return n, err
}

// checkArchiveHead looks at an archive's first bytes, which may be all of it.
func checkArchiveHead(k kind, head []byte, more bool, a Archive) error {
	if k == zipFile {
		if !bytes.HasPrefix(head, []byte("PK\x03\x04")) && !bytes.HasPrefix(head, []byte("PK\x05\x06")) {
			return errors.New("it does not begin as a zip archive does")
		}
		return nil
	}
	r, closer, err := unpack(k, bytes.NewReader(head), a)
	if err == nil {
		_, err = tar.NewReader(r).Next()
		closer.Close()
	}
	if err == nil || err == io.EOF || more && errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return archiveError(err)
}

// unreadableArchive is the fault of an archive whose bytes are wrong.
func unreadableArchive(err error) *codecs.Error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return refuse(pipeline.CodeSourceLimit, "the archive is refused: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(pipeline.CodeMsgInvalid, "the archive is cut off")
	}
	return refuse(pipeline.CodeMsgInvalid, "the archive is damaged, or of another format: %w", err)
}

// isDisk tells the machine's errors from the archive's.
func isDisk(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe)
}

// memberURI names a member for records; nothing fetches it.
func memberURI(archive, name string) string {
	return archive + (&url.URL{Fragment: name}).String()
}

// hiddenMember tells names that a folder's reading would pass over too: hidden ones,
// and what macOS adds.
func hiddenMember(name string) bool {
	return strings.HasPrefix(path.Base(name), ".") || strings.HasPrefix(name, "__MACOSX/")
}
