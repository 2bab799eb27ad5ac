package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// The environment wins over the file, the file over the defaults.
func TestLayers(t *testing.T) {
	secret := write(t, "key", "hush\n")
	file := write(t, "millrace.yaml", `
store: {url: s3://a/b, region: eu-1, access_key: me}
queue: {brokers: [k1:9092], topic: t, session_timeout: 20s}
mill: {count: 3, max_stall: 5s, confinement: best-effort}
ingest: {buckets: [{bucket: raw, prefix: cats/, dataset: cats}]}
`)
	c, err := Load(file, []string{
		"MILLRACE_STORE_REGION=us-2", "MILLRACE_STORE_SECRET_KEY=file:" + secret, "MILLRACE_QUEUE_BROKERS=k2:1, k3:2",
		"MILLRACE_MILL_COUNT=5", "MILLRACE_SOURCE_ALLOW_FILES=true", "MILLRACE_CONFIG=" + file, "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.URL != "s3://a/b" || c.Store.Region != "us-2" || c.Store.SecretKey.Reveal() != "hush" ||
		!slices.Equal(c.Queue.Brokers, []string{"k2:1", "k3:2"}) || c.Queue.Session != 20*time.Second || c.Queue.Heartbeat != Default().Queue.Heartbeat ||
		c.Mill.Count != 5 || c.Mill.Stall != 5*time.Second || c.Mill.Confinement != mill.BestEffort || !c.Source.AllowFiles || c.Ingest.Buckets[0].Dataset != "cats" {
		t.Errorf("the layers give %+v", c)
	}
	if err := c.Validate(true); err != nil {
		t.Errorf("it is refused: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"an unknown setting":        {"store: {ulr: x}", nil, "ulr"},
		"a secret in the file":      {"store: {url: s3://a/b, access_key: k, secret_key: hunter2}", nil, "secret"},
		"an unknown variable":       {"", []string{"MILLRACE_STORE_ULR=x"}, "MILLRACE_STORE_ULR"},
		"a number that is none":     {"", []string{"MILLRACE_MILL_COUNT=many"}, "MILLRACE_MILL_COUNT"},
		"a secret in a variable":    {"", []string{"MILLRACE_STORE_SECRET_KEY=hunter2"}, "file:PATH or env:NAME"},
		"no store":                  {"", nil, "store.url"},
		"mills":                     {"store: {url: x}\nqueue: {brokers: [k:1]}\nmill: {count: -1}", nil, "mill.count"},
		"isolation":                 {"store: {url: x}\nqueue: {brokers: [k:1]}\nmill: {isolation: some}", nil, "mill.isolation"},
		"confinement":               {"store: {url: x}\nqueue: {brokers: [k:1]}\nmill: {confinement: some}", nil, "mill.confinement"},
		"memory":                    {"store: {url: x}\nqueue: {brokers: [k:1]}\nmill: {max_memory: 1000}", nil, "mill.max_memory"},
		"window":                    {"store: {url: x}\nqueue: {brokers: [k:1]}\nwindow: {max_deliveries: -1}", nil, "window.max_deliveries"},
		"a bucket without dataset":  {"store: {url: x}\nqueue: {brokers: [k:1]}\ningest: {buckets: [{bucket: b}]}", nil, "ingest.buckets[0]"},
		"a queue without a broker":  {"store: {url: x}", nil, "queue.brokers"},
		"half a pair of S3 secrets": {"store: {url: s3://a/b, access_key: k}", nil, "secret_key"},
	} {
		file := ""
		if c.file != "" {
			file = write(t, "c.yaml", c.file)
		}
		cfg, err := Load(file, c.env)
		if err == nil {
			err = cfg.Validate(true)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; the text should name %s", name, err, c.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the text has the secret: %v", name, err)
		}
	}
}

func TestRecipes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": "dataset: a\nkeep: jpeg\n", "b.yml": "dataset: b\nkeep: png\n", "notes.txt": "no recipe"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Default()
	c.Recipes = []string{dir, filepath.Join(dir, "a.yaml")}
	find, err := c.LoadRecipes()
	if err != nil {
		t.Fatal(err)
	}
	if find("a") == nil || find("b") == nil || find("c") != nil {
		t.Error("recipes a and b should be found, c not")
	}
	c.Ingest.AnyDataset = true
	if find, err = c.LoadRecipes(); err != nil || find("c") == nil || find("c") != find("c") || find("../c") != nil {
		t.Errorf("any dataset should have the default recipe, once, if its name is good: %v", err)
	}
	c.Recipes = append(c.Recipes, write(t, "again.yaml", "dataset: a\nkeep: jpeg\n"))
	if _, err := c.LoadRecipes(); err == nil {
		t.Error("two recipes for one dataset are accepted")
	}
}

// A recipe is looked for beside the file that names it, or else where one is.
func TestRecipePaths(t *testing.T) {
	file := write(t, "millrace.yaml", "recipes: [in-file.yaml]")
	beside := filepath.Join(filepath.Dir(file), "in-file.yaml")
	c, err := Load(file, nil)
	if err != nil || !slices.Equal(c.Recipes, []string{beside}) {
		t.Errorf("the file's recipes are %v, want %s; %v", c.Recipes, beside, err)
	}
	if c, err = Load(file, []string{"MILLRACE_RECIPES=here.yaml"}); err != nil || !slices.Equal(c.Recipes, []string{"here.yaml"}) {
		t.Errorf("the environment's recipes are %v, %v", c.Recipes, err)
	}
	t.Chdir(filepath.Dir(write(t, "here.yaml", "dataset: here\nkeep: jpeg\n")))
	if find, err := c.LoadRecipes(); err != nil || find("here") == nil {
		t.Errorf("a recipe in this folder is not found: %v", err)
	}
}

// A medium that can not be fetched is named, without its secrets.
func TestFetchNamesWhatFailed(t *testing.T) {
	c := Default()
	c.Scratch, c.Source.AllowFiles = t.TempDir(), true
	fetch, done, err := c.OpenFetch()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for uri, want := range map[string]string{
		"file:///no/such/file.mp4":                    "file:///no/such/file.mp4",
		"http://user:hush@127.0.0.1/a.mp4?token=hush": "http://127.0.0.1/a.mp4",
	} {
		f, id, err := fetch(t.Context(), pipeline.Media{URI: uri}, nil)
		if e := codecs.AsError(err); f != nil || e == nil || id.URI != want || strings.Contains(e.Error(), "hush") {
			t.Errorf("%s: %q, %v", uri, id.URI, err)
		}
	}
}

func TestNamesAreSettings(t *testing.T) {
	names := Names()
	for _, want := range []string{"MILLRACE_STORE_URL", "MILLRACE_STORE_SECRET_KEY", "MILLRACE_QUEUE_SASL_PASSWORD", "MILLRACE_MILL_MAX_WALL", "MILLRACE_SOURCE_HTTP_MAX_REDIRECTS", "MILLRACE_WINDOW_MAX_BYTES"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is no setting; there are %v", want, names)
		}
	}
}
