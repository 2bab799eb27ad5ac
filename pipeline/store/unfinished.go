package store

import (
	"context"
	"iter"
	"strings"
	"time"
)

// Unfinished is a Store in which uploads in parts can stay neither completed nor aborted:
// they take space, and no listing of objects shows them. [S3] is one.
type Unfinished interface {
	// Unfinished gives such uploads of keys with a prefix, in the order of their keys. An
	// error is the last pair.
	Unfinished(ctx context.Context, prefix string) iter.Seq2[PartedUpload, error]
	// AbortParts frees an upload's parts. Whoever is still sending some gets an error, and
	// the object does not come to be. That there is no such upload is no error.
	AbortParts(ctx context.Context, key, upload string) error
}

// PartedUpload is an upload in parts that is not completed.
type PartedUpload struct {
	Key   string    `json:"key"` // of the object that it would become
	ID    string    `json:"id"`
	Begun time.Time `json:"begun"` // by the store's clock
}

// AsUnfinished finds such a store in s, or in what s wraps.
func AsUnfinished(s Store) (Unfinished, bool) {
	for s != nil {
		if p, ok := s.(Unfinished); ok {
			return p, true
		}
		u, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return nil, false
		}
		s = u.Unwrap()
	}
	return nil, false
}

// mostUploads is how many uploads are asked for at a time.
const mostUploads = 1000

// Unfinished implements the interface of that name.
func (s *S3) Unfinished(ctx context.Context, prefix string) iter.Seq2[PartedUpload, error] {
	return func(yield func(PartedUpload, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(PartedUpload{}, &Error{Op: "list", Key: prefix, Kind: ErrInvalid, Err: err})
			return
		}
		key, id := "", ""
		for {
			page, err := s.core.ListMultipartUploads(ctx, s.bucket, s.prefix+prefix, key, id, "", mostUploads)
			if err != nil {
				yield(PartedUpload{}, s.failed(ctx, "list", prefix, err))
				return
			}
			for _, u := range page.Uploads {
				name, ours := strings.CutPrefix(u.Key, s.prefix)
				if !ours || !strings.HasPrefix(name, prefix) || CheckKey(name) != nil {
					continue
				}
				if !yield(PartedUpload{Key: name, ID: u.UploadID, Begun: u.Initiated}, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
				return
			}
			key, id = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}
