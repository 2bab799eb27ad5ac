package recipe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// Store is where recipes are kept beside the samples that they made: one object each,
// whose content is the text that its digest is over. So it proves itself, and all who
// store a recipe store the same bytes. Errors may have the methods NotFound, Exists and
// Permanent, as those of pipeline/store do (its Plain is a Store).
type Store interface {
	// Create stores data under key if there is no such object.
	Create(ctx context.Context, key string, data []byte) error
	// Open opens an object. The caller closes it.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Keys gives the keys with a prefix that sort after startAfter, in byte order. An
	// error is the last pair.
	Keys(ctx context.Context, prefix, startAfter string) iter.Seq2[string, error]
}

const (
	archivePrefix = "_recipe/"
	archiveSuffix = ".json"

	// leastDigits of a digest name a recipe.
	leastDigits = 8
	saveTries   = 5
)

// Key is where a recipe is kept, by its digest.
func Key(digest string) string { return archivePrefix + digest + archiveSuffix }

// Save keeps a recipe, so that its digest can be looked up by whoever meets it in a
// sample. It is to be called before the first record that names the digest, as often as
// one likes: once it is there, Save reads and compares it. What About says is not kept.
//
// An error means that the recipe may not be there. What is there under its name and is
// not it (a damaged object) is an error that stays.
func Save(ctx context.Context, s Store, r *pipeline.Recipe) error {
	doc, key := canonical(r), Key(Digest(r))
	if r.Digest != "" && key != Key(r.Digest) {
		return fmt.Errorf("keeping the recipe of dataset %s: its digest is %.12s, and it says %.12s", r.Dataset, Digest(r), r.Digest)
	}
	err := errors.New("never tried")
	for n := range saveTries {
		if n > 0 && pause(ctx, n) != nil {
			break
		}
		there, readErr := read(ctx, s, key)
		switch {
		case readErr == nil && bytes.Equal(there, doc):
			return nil
		case readErr == nil:
			return fmt.Errorf("keeping the recipe of dataset %s: %s holds something else; it is damaged, so delete it", r.Dataset, key)
		case !isNotFound(readErr):
			err = readErr
		default:
			err = s.Create(ctx, key, doc)
		}
		if err == nil {
			return nil
		}
		if isPermanent(err) && !isExists(err) {
			break
		}
	}
	return fmt.Errorf("keeping the recipe of dataset %s: %w", r.Dataset, err)
}

// pause waits before the n-th attempt.
func pause(ctx context.Context, n int) error {
	t := time.NewTimer(50 * time.Millisecond << n)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Document gives the text of a kept recipe, in canonical JSON, and its full digest,
// which the text was checked against. A digest may be cut to its first 8 digits or
// more, if no other recipe begins so.
func Document(ctx context.Context, s Store, digest string) (doc []byte, full string, err error) {
	if full, err = complete(ctx, s, digest); err != nil {
		return nil, "", err
	}
	doc, err = read(ctx, s, Key(full))
	if isNotFound(err) {
		return nil, "", fmt.Errorf("no recipe of digest %s is kept there", full)
	}
	if err != nil {
		return nil, "", fmt.Errorf("recipe %.12s: %w", full, err)
	}
	if got := sum(doc); got != full {
		return nil, "", fmt.Errorf("recipe %.12s is damaged: its text has the digest %s", full, got)
	}
	return doc, full, nil
}

// ErrOtherVersion is wrapped by Find's error on a recipe with words that this build
// does not have: another version of Millrace wrote it. Its [Document] can be read.
var ErrOtherVersion = errors.New("another version of Millrace wrote it, and this one can not say all that it says")

// Find gives the recipe that a sample's digest names, as [Document] finds it. Its
// About is empty.
func Find(ctx context.Context, s Store, digest string) (*pipeline.Recipe, error) {
	doc, full, err := Document(ctx, s, digest)
	if err != nil {
		return nil, err
	}
	r := new(pipeline.Recipe)
	if err := json.Unmarshal(doc, r); err != nil {
		return nil, fmt.Errorf("recipe %.12s: %w (%v)", full, ErrOtherVersion, err)
	}
	if r.Digest = Digest(r); r.Digest != full {
		return nil, fmt.Errorf("recipe %.12s: %w", full, ErrOtherVersion)
	}
	return r, nil
}

// IsDigest reports whether s is a digest, or enough of one to name a recipe.
func IsDigest(s string) bool {
	return len(s) >= leastDigits && len(s) <= 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// complete finds the digest that begins with some digits.
func complete(ctx context.Context, s Store, digits string) (string, error) {
	if !IsDigest(digits) {
		return "", fmt.Errorf("%s is no digest; write %d to 64 of the digits 0-9 and a-f", shown(digits), leastDigits)
	}
	if len(digits) == 2*sha256.Size {
		return digits, nil
	}
	found := ""
	for key, err := range s.Keys(ctx, archivePrefix+digits, "") {
		if err != nil {
			return "", fmt.Errorf("looking for recipe %s: %w", digits, err)
		}
		full := strings.TrimSuffix(strings.TrimPrefix(key, archivePrefix), archiveSuffix)
		if !IsDigest(full) || len(full) != 2*sha256.Size || key != Key(full) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("several recipes begin with %s (%.16s, %.16s); write more digits", digits, found, full)
		}
		found = full
	}
	if found == "" {
		return "", fmt.Errorf("no recipe whose digest begins with %s is kept there", digits)
	}
	return found, nil
}

// read reads an object of at most MaxBytes.
func read(ctx context.Context, s Store, key string) ([]byte, error) {
	rc, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, MaxBytes+1))
	if err == nil && len(data) > MaxBytes {
		err = fmt.Errorf("%s has more than %d bytes, which no recipe has", key, MaxBytes)
	}
	return data, err
}

func isNotFound(err error) bool {
	var e interface{ NotFound() bool }
	return errors.As(err, &e) && e.NotFound()
}

func isExists(err error) bool {
	var e interface{ Exists() bool }
	return errors.As(err, &e) && e.Exists()
}

func isPermanent(err error) bool {
	var e interface{ Permanent() bool }
	return errors.As(err, &e) && e.Permanent()
}
