package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

// films makes one film of 60 MB in several containers.
func films(t *testing.T) map[string][]byte {
	t.Helper()
	dir, all := t.TempDir(), map[string][]byte{}
	for name, flags := range map[string][]string{"first.mp4": {"-movflags", "+faststart"}, "last.mp4": nil, "film.mkv": nil} {
		file := filepath.Join(dir, name)
		args := slices.Concat([]string{"-nostdin", "-v", "error", "-stream_loop", "150", "-i", "../../testdata/videos/demo_720p.mp4", "-c", "copy"}, flags, []string{file})
		if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		all[name] = mustRead(t, file)
	}
	return all
}

// sent counts what a server sends of media.
type sent struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (s sent) Write(p []byte) (int, error) {
	s.n.Add(int64(len(p)))
	return s.ResponseWriter.Write(p)
}

func sparseRecipe(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "films.yaml")
	text := "dataset: films\nvideo: {pick: {uniform: 4}}\ntokens: {preset: vit-base-patch16-224, dtype: uint8}\nkeep: {frame: png}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents are all samples of a place, by key and field. Of descriptions what tells the
// fetches apart is taken out, and counted: samples with a digest of their source.
func contents(t *testing.T, p place) (fields map[string]string, digests int) {
	t.Helper()
	fields = map[string]string{}
	shards, err := catalog.Shards(t.Context(), p, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, sm := range readSamples(t, p, shards) {
		for _, f := range sm.Fields {
			text := string(f.Data)
			if f.Name == "json" {
				var d map[string]any
				if err := json.Unmarshal(f.Data, &d); err != nil {
					t.Fatal(err)
				}
				if d["source_sha256"] != nil {
					digests++
				}
				if d["version"] == nil {
					t.Errorf("sample %s does not name the version of its source", sm.Key)
				}
				delete(d, "source_sha256")
				text = fmt.Sprint(d)
			}
			fields[sm.Key+" "+f.Name] = text
		}
	}
	return fields, digests
}

// A film far away that is read in ranges gives the samples that it gives when it is fetched,
// over HTTP and from S3, and the records of both are in order.
func TestRangesEqualWhole(t *testing.T) {
	all, recipe, gw := films(t), sparseRecipe(t), versitygw(t)
	served := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(sent{w, served}, r, "", time.Time{}, bytes.NewReader(all[r.URL.Path[1:]]))
	}))
	defer s.Close()
	for name, data := range all {
		if err := store.Upload(t.Context(), gw, "media/"+name, store.BytesBody(data)); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"MILLRACE_SOURCE_ALLOW_PRIVATE=true"}
	for _, e := range gw.env {
		env = append(env, strings.Replace(e, "MILLRACE_STORE_", "MILLRACE_SOURCE_S3_", 1))
	}
	for name, data := range all {
		for _, from := range []string{s.URL + "/" + name, gw.url + "/media/" + name} {
			whole, parts := folder(t), folder(t)
			output(t, exitDone, env, "backfill", "-q", from, "--recipe", recipe, "--to", whole.url)
			served.Store(0)
			output(t, exitDone, append(slices.Clone(env), "MILLRACE_SOURCE_RANGES_FROM=1000000"), "backfill", "-q", from, "--recipe", recipe, "--to", parts.url)
			got, digests := contents(t, parts)
			want, all := contents(t, whole)
			if len(want) == 0 || all != 4 {
				t.Fatalf("%s: %d fields, %d digests", from, len(want), all)
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d fields in ranges, %d in whole", from, len(got), len(want))
			}
			for k := range want {
				if got[k] != want[k] {
					t.Errorf("%s: %s differs: %.2000s, %.2000s", from, k, got[k], want[k])
				}
			}
			switch share := float64(served.Load()) / float64(len(data)); {
			case name == "film.mkv" && digests != 4:
				t.Errorf("%s: %d digests, though it had to be fetched", from, digests)
			case name != "film.mkv" && digests != 0:
				t.Errorf("%s: it was fetched: %d digests", from, digests)
			case strings.HasPrefix(from, "http") && name != "film.mkv":
				t.Logf("%s: %d of %d bytes were sent (%.1f %%)", name, served.Load(), len(data), 100*share)
				if share > 0.25 {
					t.Errorf("%s: %.0f %% of the bytes were sent", name, 100*share)
				}
			}
			output(t, exitDone, nil, "verify", "--deep", parts.url)
			output(t, exitDone, nil, "inspect", parts.url)
		}
	}
}

// A film that changes while it is read is refused; one whose server goes away stops the
// backfill, and nothing is said of the film.
func TestRangesThatFail(t *testing.T) {
	film, recipe := films(t)["first.mp4"], sparseRecipe(t)
	for _, c := range []struct {
		name string
		fail func(w http.ResponseWriter) (done bool)
		code int
		want string
	}{
		{"it changes", func(w http.ResponseWriter) bool { w.Header().Set("ETag", `"v2"`); return false }, exitQuarantined, "source.changed"},
		{"its server dies", func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }, exitFailed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"v1"`)
				if asked.Add(1) > 3 && c.fail(w) { // the head, the first block and one more
					return
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(film))
			}))
			defer s.Close()
			p := folder(t)
			output(t, c.code, []string{"MILLRACE_SOURCE_ALLOW_PRIVATE=true", "MILLRACE_SOURCE_RANGES_FROM=1000000", "MILLRACE_SOURCE_TRIES=1", "MILLRACE_SOURCE_BACKOFF=10ms",
				"MILLRACE_SOURCE_OUTAGE_PATIENCE=1s", "MILLRACE_SOURCE_HTTP_DEPEND_ON=127.0.0.1"}, "backfill", "-q", "--strict", s.URL+"/film.mp4", "--recipe", recipe, "--to", p.url)
			ended := allOutcomes(t, p)
			switch {
			case c.want == "" && len(ended) > 0:
				t.Errorf("it ended as %+v", ended)
			case c.want != "" && (len(ended) != 1 || ended[0].Status != ledger.Quarantined || ended[0].Code != c.want):
				t.Errorf("it ended as %+v; want %s", ended, c.want)
			}
			if asked.Load() < 4 {
				t.Errorf("only %d requests came", asked.Load())
			}
		})
	}
}
