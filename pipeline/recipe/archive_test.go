package recipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/store"
)

func memory() store.Plain { return store.Plain{Store: store.NewMemory()} }

func TestArchive(t *testing.T) {
	dir, err := store.Open(t.Context(), t.TempDir(), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]store.Plain{"memory": memory(), "directory": {Store: dir}} {
		for _, path := range goods(t) {
			r, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second finds it there
				if err := Save(t.Context(), s, r); err != nil {
					t.Fatalf("%s: %s: %v", name, path, err)
				}
			}
			for _, digits := range []string{r.Digest, r.Digest[:8], r.Digest[:63]} {
				found, err := Find(t.Context(), s, digits)
				if err != nil {
					t.Fatalf("%s: %s: %v", name, path, err)
				}
				if a, b := canonical(found), canonical(r); found.Digest != r.Digest || !bytes.Equal(a, b) {
					t.Errorf("%s: %s was kept as\n%s\nnot\n%s", name, path, a, b)
				}
				same(t, found)
			}
		}
	}
}

// Many workers keep a new recipe at once; one object comes of it.
func TestArchiveAtOnce(t *testing.T) {
	s := memory()
	r := minimal(t)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = Save(t.Context(), s, r) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	var keys []string
	for key, err := range s.Keys(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if want := []string{"_recipe/" + r.Digest + ".json"}; !slices.Equal(keys, want) {
		t.Errorf("the store holds %q", keys)
	}
}

func minimal(t *testing.T) *pipeline.Recipe {
	t.Helper()
	r, err := Load(filepath.Join(testdata, "minimal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestArchiveRefuses(t *testing.T) {
	r := minimal(t)
	wrong := *r
	wrong.Digest = strings.Repeat("0", 64)
	if err := Save(t.Context(), memory(), &wrong); err == nil || !strings.Contains(err.Error(), "says 000000000000") {
		t.Errorf("a recipe with another's digest: %v", err)
	}
	for name, c := range map[string]struct {
		data, digits, says string
	}{
		"none":       {"", r.Digest, "no recipe of digest " + r.Digest},
		"none so":    {"", r.Digest[:10], "begins with " + r.Digest[:10]},
		"too short":  {"", r.Digest[:7], "8 to 64 of the digits"},
		"no digits":  {"", "../../../etc/passwd", "is no digest"},
		"too long":   {"", r.Digest + "0", "is no digest"},
		"damaged":    {string(canonical(r)) + " ", r.Digest, "is damaged"},
		"monstrous":  {strings.Repeat("x", MaxBytes+1), r.Digest, "which no recipe has"},
		"upper case": {"", strings.ToUpper(r.Digest), "is no digest"},
	} {
		s := memory()
		if c.data != "" {
			if err := s.Create(t.Context(), Key(r.Digest), []byte(c.data)); err != nil {
				t.Fatal(err)
			}
			if err := Save(t.Context(), s, r); err == nil {
				t.Errorf("%s: it was kept over what is there", name)
			}
		}
		if _, err := Find(t.Context(), s, c.digits); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArchiveOfSeveral(t *testing.T) {
	s := memory()
	for i := range 3 { // objects with names of digests, and one that is none
		if err := s.Create(t.Context(), Key("aaaaaaaa"+strings.Repeat(fmt.Sprint(i), 56)), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create(t.Context(), "_recipe/bbbbbbbb.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(t.Context(), s, "aaaaaaaa"); err == nil || !strings.Contains(err.Error(), "write more digits") {
		t.Error(err)
	}
	if _, err := Find(t.Context(), s, "bbbbbbbb"); err == nil || !strings.Contains(err.Error(), "no recipe whose digest") {
		t.Error(err)
	}
}

// What a later version wrote can be read, but is not taken for what it is not.
func TestArchiveOfAnotherVersion(t *testing.T) {
	for name, change := range map[string][2]string{
		"a new field":   {`"version":1`, `"verbs":["x"],"version":1`},
		"another shape": {`"keep":{}`, `"keep":"all"`},
	} {
		s := memory()
		doc := []byte(strings.Replace(string(canonical(minimal(t))), change[0], change[1], 1))
		digest := sum(doc)
		if err := s.Create(t.Context(), Key(digest), doc); err != nil {
			t.Fatal(err)
		}
		if r, err := Find(t.Context(), s, digest); !errors.Is(err, ErrOtherVersion) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		if got, full, err := Document(t.Context(), s, digest[:12]); err != nil || full != digest || !bytes.Equal(got, doc) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// shaky is a store whose first creates fail, after having landed or before.
type shaky struct {
	store.Plain
	failures int
	lands    bool
}

func (s *shaky) Create(ctx context.Context, key string, data []byte) error {
	if s.failures--; s.failures < 0 {
		return s.Plain.Create(ctx, key, data)
	}
	if s.lands {
		_ = s.Plain.Create(ctx, key, data)
	}
	return errors.New("the connection was reset")
}

func TestArchiveTriesAgain(t *testing.T) {
	for _, s := range []*shaky{{memory(), 1, true}, {memory(), 2, false}} {
		if err := Save(t.Context(), s, minimal(t)); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	s := &shaky{memory(), 1 << 10, false}
	if err := Save(t.Context(), s, minimal(t)); err == nil || !strings.Contains(err.Error(), "connection was reset") {
		t.Error(err)
	}
	if tries := 1<<10 - s.failures; tries != saveTries {
		t.Errorf("%d attempts", tries)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Save(ctx, memory(), minimal(t)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whatever lies under a digest, it is told as a recipe, as another version's or as damage.
func FuzzFind(f *testing.F) {
	for _, path := range goods(f) {
		r, err := Load(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(canonical(r))
	}
	f.Add([]byte(`{"tokens":[{"layout":"vit\n- x","std":[0,0,0]}],"outputs":[{"pack":{}}],"video":{"pick":{"rule":"at","at":["1/0"]}}}`))
	f.Add([]byte("null"))
	other, err := Load(filepath.Join(testdata, "full.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := memory()
		if err := s.Create(t.Context(), Key(sum(doc)), doc); err != nil {
			t.Fatal(err)
		}
		r, err := Find(t.Context(), s, sum(doc)[:leastDigits])
		if err != nil {
			if !errors.Is(err, ErrOtherVersion) && len(doc) <= MaxBytes {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(canonical(r), doc) || r.Digest != sum(doc) {
			t.Fatalf("found %s", canonical(r))
		}
		Show(r)
		for _, d := range []*Difference{Diff(r, other), Diff(other, r)} {
			for _, c := range d.Changes {
				_ = c.String()
			}
		}
	})
}
