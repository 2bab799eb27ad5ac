package settings

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/store"
)

// Of the store only uploads can be named, and only by who knows what they are.
func TestFromUploads(t *testing.T) {
	s := store.NewMemory()
	data := []byte("a film")
	for _, key := range []string{"_upload/acme/film", "_log/x/00000000000000000000"} {
		if err := s.Put(t.Context(), key, store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	elsewhere := errors.New("elsewhere")
	fetch := fromUploads(s, t.TempDir(), 100, func(context.Context, pipeline.Media, *os.File) (mill.Bytes, pipeline.SourceID, error) {
		return nil, pipeline.SourceID{}, elsewhere
	})
	f, id, err := fetch(t.Context(), pipeline.Media{URI: "store://_upload/acme/film", SHA256: digest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(io.NewSectionReader(f, 0, id.Bytes)); err != nil || string(got) != "a film" || id.SHA256 != digest || id.URI != "store://_upload/acme/film" || id.Bytes != 6 {
		t.Errorf("%q, %+v, %v", got, id, err)
	}
	for _, c := range []struct {
		uri, digest string
		code        codecs.Code
	}{
		{"store://_upload/acme/film", "", pipeline.CodeSourceDenied},
		{"store://_upload/acme/film", digest[1:] + "0", pipeline.CodeSourceChanged},
		{"store://_upload/acme/other", digest, pipeline.CodeSourceGone},
		{"store://_log/x/00000000000000000000", digest, pipeline.CodeSourceDenied},
		{"store://_upload/../_log/x/00000000000000000000", digest, pipeline.CodeSourceDenied},
		{"store://_upload/", digest, pipeline.CodeSourceDenied},
	} {
		_, id, err := fetch(t.Context(), pipeline.Media{URI: c.uri, SHA256: c.digest}, nil)
		if e := codecs.AsError(err); e == nil || e.Code != c.code || id.URI == "" {
			t.Errorf("%s: %v, want %s", c.uri, err, c.code)
		}
	}
	if _, _, err := fetch(t.Context(), pipeline.Media{URI: "s3://b/k"}, nil); !errors.Is(err, elsewhere) {
		t.Errorf("another source's medium: %v", err)
	}
	small := fromUploads(s, t.TempDir(), 5, nil)
	if _, _, err := small(t.Context(), pipeline.Media{URI: "store://_upload/acme/film", SHA256: digest}, nil); codecs.AsError(err) == nil || codecs.AsError(err).Code != pipeline.CodeSourceLimit {
		t.Errorf("too large: %v", err)
	}
}
