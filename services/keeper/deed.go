package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline/store"
)

// Deed is the record of a takedown: an object _takedown/<id>.json when it was begun, and
// _takedown/<id>.done.json, with its counts, when it was done. Both are kept for ever.
type Deed struct {
	Version int       `json:"v"`
	ID      string    `json:"id"`
	Dataset string    `json:"dataset"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason"`
	Begun   time.Time `json:"begun"`
	Erase   bool      `json:"erase"`
	// Sources and Licences as they were asked for. Ids may be personal: of them the count and
	// the SHA-256 are kept, of all, sorted, each with a newline.
	Sources   []string `json:"sources,omitempty"`
	Licences  []string `json:"licences,omitempty"`
	IDs       int      `json:"ids,omitempty"`
	IDsSHA256 string   `json:"ids_sha256,omitempty"`

	// Done is when it was done; zero until then, and for what was never finished.
	Done time.Time `json:"done,omitzero"`
	Base int64     `json:"base"` // the snapshot that was looked through
	// Snapshot is the first without all that was selected; -1 if nothing was.
	Snapshot int64 `json:"snapshot"`
	Counts
}

// Counts is how much a takedown has taken.
type Counts struct {
	Jobs    int64 `json:"jobs"`
	Samples int64 `json:"samples"` // in each format that they were written in
	Lost    int64 `json:"lost"`    // samples of other jobs, gone with a sequence that could not be packed again
	Shards  int   `json:"shards"`  // that were left out,
	Written int   `json:"written"` // and written in their place
}

func (c *Counts) plus(o Counts) {
	c.Samples += o.Samples
	c.Lost += o.Lost
	c.Shards += o.Shards
	c.Written += o.Written
}

const (
	deedPrefix  = "_takedown/"
	deedSuffix  = ".json"
	doneSuffix  = ".done.json"
	deedVersion = 1
)

func newDeed(o *TakedownOptions) *Deed {
	d := &Deed{Version: deedVersion, ID: ulid.Make().String(), Dataset: o.Dataset, By: o.By, Reason: o.Reason, Begun: o.Now().UTC().Truncate(time.Second),
		Erase: o.Erase, Sources: o.Sources, Licences: o.Licences, IDs: len(o.IDs), Snapshot: -1}
	if len(o.IDs) > 0 {
		h := sha256.New()
		for _, id := range slices.Sorted(slices.Values(o.IDs)) {
			fmt.Fprintln(h, id)
		}
		d.IDsSHA256 = hex.EncodeToString(h.Sum(nil))
	}
	return d
}

// reason is what the deed's edits say.
func (d *Deed) reason() string { return d.Reason + " (takedown " + d.ID + ")" }

func (d *Deed) begin(ctx context.Context, s store.Store) error {
	return putDeed(ctx, s, deedPrefix+d.ID+deedSuffix, d)
}

func (d *Deed) finish(ctx context.Context, s store.Store, now time.Time) error {
	d.Done = now.UTC().Truncate(time.Second)
	return putDeed(ctx, s, deedPrefix+d.ID+doneSuffix, d)
}

func putDeed(ctx context.Context, s store.Store, key string, d *Deed) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := store.Upload(ctx, s, key, store.BytesBody(data)); err != nil {
		return fmt.Errorf("keep the record of the takedown: %w", err)
	}
	return nil
}

// Deeds gives all takedowns of a dataset (of all, where dataset is empty), in the order in
// which they were begun.
func Deeds(ctx context.Context, s store.Store, dataset string) ([]*Deed, error) {
	deeds := []*Deed{}
	for info, err := range s.List(ctx, deedPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the takedowns: %w", err)
		}
		d, err := readDeed(ctx, s, info.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Key, err)
		}
		if dataset != "" && d.Dataset != dataset {
			continue
		}
		// In the order of names a deed that is done comes before itself as it was begun.
		if n := len(deeds); n == 0 || deeds[n-1].ID != d.ID {
			deeds = append(deeds, d)
		}
	}
	return deeds, nil
}

func readDeed(ctx context.Context, s store.Store, key string) (*Deed, error) {
	data, err := readSmall(ctx, s, key)
	if err != nil {
		return nil, err
	}
	var d Deed
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("it is no record of a takedown: %w", err)
	}
	switch id, _, _ := strings.Cut(strings.TrimPrefix(key, deedPrefix), "."); {
	case d.Version != deedVersion:
		return nil, fmt.Errorf("it has format version %d; this program knows %d: use a newer one", d.Version, deedVersion)
	case d.ID != id:
		return nil, errors.New("it is of another takedown than its name says")
	}
	return &d, nil
}
