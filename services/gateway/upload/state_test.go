package upload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

// A state that was damaged, or is a newer build's, or another upload's.
func TestBadStates(t *testing.T) {
	dir := openDir(t)
	s, ctx, data := process(t, dir), as(t, "acme"), noise(2*testPart)
	change := func(f func(*State)) func([]byte) []byte {
		return func(b []byte) []byte {
			var st State
			if err := json.Unmarshal(b, &st); err != nil {
				t.Fatal(err)
			}
			f(&st)
			b, _ = json.Marshal(st)
			return b
		}
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		want   error
	}{
		"empty":           {func([]byte) []byte { return nil }, ErrDamaged},
		"cut":             {func(b []byte) []byte { return b[:len(b)/2] }, ErrDamaged},
		"noise":           {func([]byte) []byte { return noise(500) }, ErrDamaged},
		"too long":        {func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), maxState)...) }, ErrDamaged},
		"a newer version": {change(func(s *State) { s.Version = version + 1 }), ErrNewer},
		"an older one":    {change(func(s *State) { s.Version = version - 1 }), ErrDamaged},
		"other id":        {change(func(s *State) { s.ID = strings.Repeat("0", 26) }), ErrDamaged},
		"other tenant":    {change(func(s *State) { s.Tenant = "other" }), ErrDamaged},
		"no size":         {change(func(s *State) { s.Size = 0 }), ErrDamaged},
		"a huge size":     {change(func(s *State) { s.Size = MaxSize + 1 }), ErrDamaged},
		"other parts":     {change(func(s *State) { s.PartSize++ }), ErrDamaged},
		"fewer parts":     {change(func(s *State) { s.Parts.Count = -1 }), ErrDamaged},
		"more parts":      {change(func(s *State) { s.Parts.Count = 3 }), ErrDamaged},
		"a long tail":     {change(func(s *State) { s.Parts.Tail.Size = testPart }), ErrDamaged},
		"a short tail":    {change(func(s *State) { s.Parts.Tail.Size = -1 }), ErrDamaged},
		"an unnamed tail": {change(func(s *State) { s.Parts.Tail.Name = "" }), ErrDamaged},
		"a tail upwards":  {change(func(s *State) { s.Parts.Tail.Name = "../../x" }), ErrDamaged},
		"no digest":       {change(func(s *State) { s.Parts.SHA = nil }), ErrDamaged},
		"a long digest":   {change(func(s *State) { s.Parts.CRC = noise(5000) }), ErrDamaged},
		"complete":        {change(func(s *State) { s.Complete = true }), ErrDamaged},
	} {
		id := begin(t, s, len(data))
		if _, err := step(t, s, id, data, testPart+10); err != nil {
			t.Fatal(err)
		}
		key := Prefix + "acme/" + id + stateEnd
		rc, _, err := dir.Get(ctx, key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		if err := dir.Put(ctx, key, store.BytesBody(c.damage(b))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, id); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		n, err := s.Sweep(ctx, time.Now().Add(time.Minute), noSettle)
		want := Swept{Damaged: 1}
		if errors.Is(c.want, ErrNewer) {
			want = Swept{}
		}
		if n != want || err != nil || (len(ends(t, dir, id)) > 0) != errors.Is(c.want, ErrNewer) {
			t.Errorf("%s: swept %+v, %v; left are %q", name, n, err, ends(t, dir, id))
		}
	}
}

// A tail that is lost, cut or changed costs its own bytes: they are sent again.
func TestLostTail(t *testing.T) {
	for name, damage := range map[string]func(*store.Dir, string) error{
		"lost":    func(d *store.Dir, key string) error { return d.Delete(t.Context(), key) },
		"cut":     func(d *store.Dir, key string) error { return d.Put(t.Context(), key, store.BytesBody([]byte("x"))) },
		"changed": func(d *store.Dir, key string) error { return d.Put(t.Context(), key, store.BytesBody(noise(500))) },
	} {
		dir, data := openDir(t), noise(2*testPart+1)
		s := process(t, dir)
		id := begin(t, s, len(data))
		if _, err := step(t, s, id, data, testPart+500); err != nil {
			t.Fatal(err)
		}
		for info := range dir.List(t.Context(), Prefix+"acme/"+id+tailMark, "") {
			if err := damage(dir, info.Key); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := step(t, s, id, data, 10); !errors.Is(err, handler.ErrMismatchOffset) {
			t.Errorf("%s: %v", name, err)
		}
		if u, err := s.Get(as(t, "acme"), id); err != nil || u.Offset() != testPart {
			t.Errorf("%s: %v at %d", name, err, u.Offset())
		}
		if err := drive(t, s, id, data, 300, 20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkWhole(t, s, id, data)
	}
}

// attempts is a store with attempts in parts that can be listed, as S3 is one.
type attempts struct {
	store.Parted
	list    []store.PartedUpload
	aborted []string
}

func (a *attempts) Unfinished(context.Context, string) iter.Seq2[store.PartedUpload, error] {
	return func(yield func(store.PartedUpload, error) bool) {
		for _, u := range a.list {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func (a *attempts) AbortParts(ctx context.Context, key, id string) error {
	a.aborted = append(a.aborted, path.Base(key)+"/"+id)
	return a.Parted.AbortParts(ctx, key, id)
}

func TestSweep(t *testing.T) {
	dir := &attempts{Parted: openDir(t)}
	s, ctx, data := process(t, dir), as(t, "acme"), noise(testPart+5)
	half := begin(t, s, len(data))
	if _, err := step(t, s, half, data, 400); err != nil {
		t.Fatal(err)
	}
	whole := begin(t, s, len(data)) // all bytes, and its process died
	u, err := s.Get(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteChunk(ctx, 0, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	unpublished := begin(t, s, len(data))
	if u, err = s.Get(ctx, unpublished); err == nil {
		_, err = u.WriteChunk(ctx, 0, bytes.NewReader(data))
	}
	if err = errors.Join(err, u.FinishUpload(ctx)); err != nil {
		t.Fatal(err)
	}
	job := begin(t, s, len(data))
	if err := drive(t, s, job, data, 900, 5); err != nil {
		t.Fatal(err)
	}
	loose := strings.Repeat("0", 26)
	for _, key := range []string{Prefix + "acme/" + loose + tailMark + "A", Prefix + "acme/" + strings.Repeat("a", 64), Prefix + "other/x.info", Prefix + "stray"} {
		if err := dir.Put(ctx, key, store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	dir.list = []store.PartedUpload{
		{Key: Prefix + "acme/" + half, ID: "A", Begun: now.Add(-time.Hour)},
		{Key: Prefix + "acme/" + loose, ID: "B", Begun: now.Add(-time.Hour)},
		{Key: Prefix + "acme/" + loose, ID: "C", Begun: now.Add(time.Hour)},
		{Key: Prefix + "acme/" + strings.Repeat("a", 64), ID: "D", Begun: now.Add(-time.Hour)},
	}
	// Young ones stay, but for attempts of no upload that are old enough.
	n, err := s.Sweep(ctx, now.Add(-time.Minute), noSettle)
	if n != (Swept{Loose: 2}) || err != nil || !slices.Equal(dir.aborted, []string{loose + "/B", strings.Repeat("a", 64) + "/D"}) {
		t.Errorf("%+v, %v, aborted %q", n, err, dir.aborted)
	}
	dir.list = nil
	var settled []string
	settle := func(_ context.Context, u *Upload) error {
		settled = append(settled, u.ID)
		if u.ID == whole {
			return errors.New("the topic is away")
		}
		return errors.Join(u.FinishUpload(ctx), u.SetJob(ctx, "late"))
	}
	n, err = s.Sweep(ctx, now.Add(time.Minute), settle)
	if n != (Swept{Expired: 1, Settled: 1, Old: 1, Loose: 1}) || err == nil || !slices.Equal(settled, []string{whole, unpublished}) {
		t.Errorf("%+v, %v, settled %q", n, err, settled)
	}
	for id, want := range map[string][]string{half: nil, whole: {stateEnd}, unpublished: {"", doneEnd}, job: {""}, loose: nil, strings.Repeat("a", 64): {""}} {
		if got := ends(t, dir, id); !slices.Equal(got, want) {
			t.Errorf("%s: left are %q, want %q", id, got, want)
		}
	}
	if got := object(t, s, job); !bytes.Equal(got, data) {
		t.Error("the medium of a job was changed")
	}
	// A store that fails is told of, and what can be done is.
	_, err = process(t, store.NewFaulty(dir.Parted, func(op, _ string, _ int) store.Fault {
		if op == "list" {
			return store.Fault{Before: store.ErrFault}
		}
		return store.Fault{}
	})).Sweep(ctx, now, noSettle)
	if !errors.Is(err, store.ErrFault) {
		t.Errorf("a store that does not list: %v", err)
	}
}

// An upload that the store has given up (a lifecycle rule of the bucket) is gone, and is
// not tried again for ever.
func TestAttemptGone(t *testing.T) {
	dir, data := openDir(t), noise(2*testPart)
	for _, have := range []int{500, testPart, 2 * testPart} {
		s := process(t, dir)
		id := begin(t, s, len(data))
		u, err := s.Get(as(t, "acme"), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.WriteChunk(as(t, "acme"), 0, bytes.NewReader(data[:have])); err != nil {
			t.Fatal(err)
		}
		if err := dir.AbortParts(t.Context(), u.Key(), u.Parts.Upload); err != nil {
			t.Fatal(err)
		}
		s.appears = 40 * time.Millisecond // it may be about to be completed elsewhere
		if _, err := step(t, s, id, data, len(data)); !store.IsNotFound(err) || errors.Is(err, handler.ErrNotFound) {
			t.Errorf("with %d bytes: %v", have, err)
		}
		s.appears = 0
		if _, err := step(t, s, id, data, len(data)); !errors.Is(err, handler.ErrNotFound) {
			t.Errorf("with %d bytes: %v", have, err)
		}
		if got := ends(t, dir, id); len(got) > 0 {
			t.Errorf("left are %q", got)
		}
	}
}
