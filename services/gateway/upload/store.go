// Package upload keeps resumable uploads in an object store: the data store behind the
// tus protocol. Bytes are gathered into parts of 16 MiB, so an upload of any size costs
// one part of memory; what does not fill a part when a connection breaks is kept beside
// it. Where an upload stands is written down after each part, with the state of its
// digests, so that any process can go on with it, and its SHA-256 is known at the end
// without reading it again.
//
// Objects, for an upload ID of a tenant:
//
//	_upload/<tenant>/<ID>              the medium, once it is complete
//	_upload/<tenant>/<ID>.info         where it stands
//	_upload/<tenant>/<ID>.tail.<NAME>  the bytes behind the last whole part
//	_upload/<tenant>/<ID>.done         how it ended: its digest, and which job it has become
//
// Two processes may have one upload in hand: a sender whose connection hangs goes on
// elsewhere, and the first process writes what it has, later. That is harmless. What a
// state says was in the store before the state was written, and is not replaced by other
// bytes: parts of one number are the same bytes, as they come from one sender, and tails
// have names of their own. So of two states each is true, and the worst is that bytes are
// sent again. That an upload is complete stands apart (.done), where no late state hides
// it, and nobody removes an object. A sender of different bytes for one part gets
// [ErrDamaged], as the object is held against its digest when it is completed.
package upload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/gateway/identity"
)

// Prefix is what the keys of all uploads begin with.
const Prefix = "_upload/"

// PartSize is how many bytes a part has, and an upload keeps in memory.
const PartSize = 16 << 20

// MaxSize is the largest upload there can be: 156 GiB.
const MaxSize = int64(store.MaxParts) * PartSize

// What the names of an upload's objects end in.
const (
	stateEnd = ".info"
	doneEnd  = ".done"
	tailMark = ".tail."
)

// Store is a handler.DataStore. The tenant of a request is that of the identity in its
// context: an upload of another is not found.
type Store struct {
	parts    store.Parted
	partSize int
	buffers  chan []byte // at most so many are kept for the next upload
	appears  time.Duration
}

// New makes a data store over s, which must take parts (see store.AsParted). kept is
// how many buffers stay allocated between requests.
func New(s store.Store, kept int) (*Store, error) {
	return newStore(s, kept, PartSize)
}

func newStore(s store.Store, kept, partSize int) (*Store, error) {
	p, ok := store.AsParted(s)
	if !ok {
		return nil, errors.New("resumable uploads need a store that takes objects in parts: a directory or S3")
	}
	return &Store{parts: p, partSize: partSize, buffers: make(chan []byte, kept), appears: appearsWithin}, nil
}

// Use tells a tus handler what this store can do.
func (s *Store) Use(c *handler.StoreComposer) {
	c.UseCore(s)
	c.UseTerminater(s)
}

// NewUpload implements handler.DataStore.
func (s *Store) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	if info.Size <= 0 || info.Size > MaxSize || info.SizeIsDeferred {
		return nil, handler.NewError("ERR_INVALID_UPLOAD_LENGTH", fmt.Sprintf("an upload has 1 to %d bytes, known from the start", MaxSize), 400)
	}
	u := &Upload{s: s, State: State{Version: version, ID: strings.ToLower(ulid.Make().String()), Tenant: tenant, Size: info.Size, PartSize: int64(s.partSize), Meta: info.MetaData, Created: time.Now().UTC()}}
	u.sum = store.NewSum()
	if u.Parts.Upload, err = s.parts.BeginParts(ctx, u.Key()); err != nil {
		return nil, fmt.Errorf("begin an upload: %w", err)
	}
	if err := u.save(ctx); err != nil {
		return nil, errors.Join(err, s.parts.AbortParts(context.WithoutCancel(ctx), u.Key(), u.Parts.Upload))
	}
	return u, nil
}

// GetUpload implements handler.DataStore.
func (s *Store) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	u, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// Get finds an upload of the context's tenant, or returns handler.ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (*Upload, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return nil, err
	}
	if !validID(id) {
		return nil, handler.ErrNotFound
	}
	return s.load(ctx, tenant, id)
}

// AsTerminatableUpload implements handler.TerminaterDataStore.
func (s *Store) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload { return u.(*Upload) }

func tenantOf(ctx context.Context) (string, error) {
	id, ok := identity.From(ctx)
	if !ok || id.Tenant == "" {
		return "", errors.New("an upload was asked for by nobody: the request has no identity")
	}
	return id.Tenant, nil
}

// validID keeps everything but our own ids out of keys.
func validID(id string) bool {
	return len(id) == ulid.EncodedSize && strings.Trim(id, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// buffer lends the memory for one part.
func (s *Store) buffer() []byte {
	select {
	case b := <-s.buffers:
		return b
	default:
		return make([]byte, s.partSize)
	}
}

func (s *Store) giveBack(b []byte) {
	select {
	case s.buffers <- b:
	default:
	}
}
