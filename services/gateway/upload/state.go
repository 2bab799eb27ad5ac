package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

const (
	version  = 2
	maxState = 64 << 10 // bytes of a state; its metadata came from outside
)

// State is where an upload stands.
type State struct {
	Version  int               `json:"v"`
	ID       string            `json:"id"`
	Tenant   string            `json:"tenant"`
	Size     int64             `json:"size"`
	PartSize int64             `json:"part_size"`
	Meta     map[string]string `json:"meta,omitempty"`
	Created  time.Time         `json:"created"`
	Parts    Parts             `json:"parts"`
	// Complete says that the object is there; Job is the handle of the job that was
	// made of it.
	Complete bool   `json:"complete,omitempty"`
	Job      string `json:"job,omitempty"`
}

// Parts is what has come.
type Parts struct {
	Upload string `json:"upload"` // the store's name of the attempt
	Count  int    `json:"count"`  // of whole parts; the last one of all may be shorter
	SHA    []byte `json:"sha"`    // states of the digests, after the whole parts
	CRC    []byte `json:"crc"`
	Tail   Tail   `json:"tail"`
}

// Tail is the bytes behind the last whole part. Each has an object of its own name, so
// that no other process can put other bytes in its place.
type Tail struct {
	Name   string `json:"name,omitempty"`
	Size   int64  `json:"size,omitempty"`
	SHA256 []byte `json:"sha256,omitempty"`
}

// Offset is how many bytes have come.
func (s *State) Offset() int64 { return s.whole() + s.Parts.Tail.Size }

// whole is how many bytes are in whole parts.
func (s *State) whole() int64 { return min(int64(s.Parts.Count)*s.PartSize, s.Size) }

// Key is the name of the object that the upload becomes.
func (s *State) Key() string { return Prefix + s.Tenant + "/" + s.ID }

func (s *State) tailKey(name string) string { return s.Key() + tailMark + name }

// check refuses a state that no upload of ours can have.
func (s *State) check(tenant, id string, partSize int64) error {
	t := s.Parts.Tail
	switch {
	case s.ID != id || s.Tenant != tenant:
		return errors.New("it is of another upload")
	case s.PartSize != partSize || s.Size <= 0 || s.Size > MaxSize || s.Parts.Count < 0 || s.Parts.Count > store.MaxParts || int64(s.Parts.Count-1)*s.PartSize >= s.Size:
		return errors.New("its sizes can not be")
	case t.Size < 0 || t.Size > 0 && t.Size >= min(s.PartSize, s.Size-s.whole()) || (t.Size > 0) != (t.Name != "") || strings.Trim(t.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "":
		return errors.New("its tail can not be")
	}
	return nil
}

// What can be the matter with an upload for good. Their texts are for the sender.
var (
	// ErrDamaged says that an upload can not be gone on with by anybody.
	ErrDamaged = handler.NewError("ERR_UPLOAD_DAMAGED", "what is kept of the upload does not fit together; begin anew", 410)
	// ErrNewer says that a newer build has begun the upload, and can go on with it.
	ErrNewer = handler.NewError("ERR_UPLOAD_NEWER", "a newer gateway has begun the upload; go on with it there", 503)
)

// Upload is an upload under way, or a complete one. It is used by one request at a
// time: the tus handler's lock sees to that within a process. Another process may have
// the same upload in hand; see the package's documentation. After an error it is not
// used again, but got anew.
type Upload struct {
	s *Store
	State
	sum     *store.Sum // of the whole parts
	written time.Time  // when its state was, by the store's clock
}

// load reads an upload's state: how it stands, or else how it ended.
func (s *Store) load(ctx context.Context, tenant, id string) (*Upload, error) {
	u, err := s.read(ctx, tenant, id, stateEnd)
	if store.IsNotFound(err) {
		u, err = s.read(ctx, tenant, id, doneEnd)
	}
	if store.IsNotFound(err) {
		return nil, handler.ErrNotFound
	}
	return u, err
}

func (s *Store) read(ctx context.Context, tenant, id, end string) (*Upload, error) {
	u := &Upload{s: s, State: State{Tenant: tenant, ID: id}}
	rc, info, err := s.parts.Get(ctx, u.Key()+end, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read an upload's state: %w", err)
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(io.LimitReader(rc, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("read an upload's state: %w", err)
	}
	u.written = info.Modified
	if err := u.parse(data, tenant, id); err != nil {
		return nil, fmt.Errorf("the state of upload %s: %w", id, err)
	}
	if u.Complete != (end == doneEnd) {
		return nil, fmt.Errorf("the state of upload %s: it is not %s's: %w", id, end, ErrDamaged)
	}
	return u, nil
}

func (u *Upload) parse(data []byte, tenant, id string) error {
	if len(data) > maxState {
		return fmt.Errorf("it has more than %d bytes: %w", maxState, ErrDamaged)
	}
	var v struct {
		V int `json:"v"`
	}
	u.State = State{}
	err := json.Unmarshal(data, &v)
	switch {
	case err == nil && v.V > version:
		return fmt.Errorf("it has version %d; this build reads %d: %w", v.V, version, ErrNewer)
	case err == nil && v.V < version:
		return fmt.Errorf("it has version %d; this build reads %d: %w", v.V, version, ErrDamaged)
	case err == nil:
		err = json.Unmarshal(data, &u.State)
	}
	if err == nil {
		err = u.check(tenant, id, int64(u.s.partSize))
	}
	if err == nil {
		u.sum, err = store.RestoreSum(u.whole(), u.Parts.SHA, u.Parts.CRC)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// save writes the state down. What it says must be in the store before.
func (u *Upload) save(ctx context.Context) (err error) {
	if u.Parts.SHA, u.Parts.CRC, err = u.sum.State(); err != nil {
		return err
	}
	data, err := json.Marshal(&u.State)
	if err != nil {
		return err
	}
	if len(data) > maxState {
		return handler.NewError("ERR_METADATA_TOO_LARGE", "the upload's metadata are too large", 400)
	}
	end := stateEnd
	if u.Complete {
		end = doneEnd
	}
	if err := u.s.parts.Put(ctx, u.Key()+end, store.BytesBody(data)); err != nil {
		return fmt.Errorf("write an upload's state: %w", err)
	}
	u.written = time.Now()
	return nil
}

// SetJob writes down which job a complete upload has become.
func (u *Upload) SetJob(ctx context.Context, job string) error {
	u.Job = job
	return u.save(ctx)
}

// Body is the size and the digests of an upload all of whose bytes have come; its Data
// is nil.
func (u *Upload) Body() store.Body { return u.sum.Body() }

// GetInfo implements handler.Upload.
func (u *Upload) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{ID: u.ID, Size: u.Size, Offset: u.Offset(), MetaData: u.Meta}, nil
}

// GetReader implements handler.Upload. Uploads are not given out again.
func (u *Upload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, handler.NewError("ERR_NOT_IMPLEMENTED", "uploads can not be downloaded", 405)
}
