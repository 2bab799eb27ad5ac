package upload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

const (
	version  = 1
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
	Count  int    `json:"count"`
	Tail   int64  `json:"tail"` // bytes behind the last whole part
	SHA    []byte `json:"sha"`  // states of the digests, after all bytes
	CRC    []byte `json:"crc"`
}

// Offset is how many bytes have come.
func (s *State) Offset() int64 { return min(int64(s.Parts.Count)*s.PartSize+s.Parts.Tail, s.Size) }

// Key is the name of the object that the upload becomes.
func (s *State) Key() string { return Prefix + s.Tenant + "/" + s.ID }

// check refuses a state that no upload of ours can have.
func (s *State) check(tenant, id string, partSize int64) error {
	switch {
	case s.Version != version:
		return fmt.Errorf("it has version %d; this build reads %d", s.Version, version)
	case s.ID != id || s.Tenant != tenant:
		return fmt.Errorf("it is of another upload")
	case s.PartSize != partSize || s.Size <= 0 || s.Size > MaxSize || s.Parts.Count < 0 || s.Parts.Count > store.MaxParts || s.Parts.Tail < 0 || s.Parts.Tail >= s.PartSize:
		return fmt.Errorf("its sizes can not be")
	}
	return nil
}

// Upload is an upload under way, or a complete one. It is used by one request at a
// time: the tus handler's lock sees to that.
type Upload struct {
	s *Store
	State
	sum *store.Sum
}

// load reads an upload's state.
func (s *Store) load(ctx context.Context, tenant, id string) (*Upload, error) {
	u := &Upload{s: s, State: State{Tenant: tenant, ID: id}}
	rc, _, err := s.parts.Get(ctx, u.Key()+".info", 0, -1)
	if store.IsNotFound(err) {
		return nil, handler.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read an upload's state: %w", err)
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(io.LimitReader(rc, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("read an upload's state: %w", err)
	}
	if err := u.parse(data, tenant, id); err != nil {
		return nil, fmt.Errorf("the state of upload %s: %w", id, err)
	}
	return u, nil
}

func (u *Upload) parse(data []byte, tenant, id string) error {
	if len(data) > maxState {
		return fmt.Errorf("it has more than %d bytes", maxState)
	}
	u.State = State{}
	if err := json.Unmarshal(data, &u.State); err != nil {
		return err
	}
	if err := u.check(tenant, id, int64(u.s.partSize)); err != nil {
		return err
	}
	var err error
	u.sum, err = store.RestoreSum(u.Offset(), u.Parts.SHA, u.Parts.CRC)
	return err
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
	if err := u.s.parts.Put(ctx, u.Key()+".info", store.BytesBody(data)); err != nil {
		return fmt.Errorf("write an upload's state: %w", err)
	}
	return nil
}

// SetJob writes down which job the upload has become.
func (u *Upload) SetJob(ctx context.Context, job string) error {
	u.Job = job
	return u.save(ctx)
}

// Body is the size and the digests of what has come; its Data is nil.
func (u *Upload) Body() store.Body { return u.sum.Body() }

// GetInfo implements handler.Upload.
func (u *Upload) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{ID: u.ID, Size: u.Size, Offset: u.Offset(), MetaData: u.Meta}, nil
}

// GetReader implements handler.Upload. Uploads are not given out again.
func (u *Upload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, handler.NewError("ERR_NOT_IMPLEMENTED", "uploads can not be downloaded", 405)
}
