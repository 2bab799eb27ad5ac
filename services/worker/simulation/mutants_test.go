package simulation

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	which = flag.String("mutants", "", "which mutants TestMutants tries: names joined by commas, or all; none are a few")
	bound = flag.Int("bound", 3000, "how many seeds a mutant may pass before it counts as not caught")
	until = flag.Bool("until", false, "TestSeeds ends at the first violation")
)

// few are those that are tried by default.
var few = []string{"unknown is success", "gc asks for no epoch", "repeats are told at arrival"}

const (
	root = "../../.."
	// asked is the environment's variable that names the mistake to make.
	asked = "MILLRACE_MUTANT"
)

// helper is what is added to each package with places.
const helper = `package %s

import "os"

var mutantOfTests = os.Getenv(%q)

func mutated(name string) bool { return mutantOfTests == name }
`

// Every place is where it is said to be.
func TestMutantsAreFresh(t *testing.T) {
	if _, err := mutate(); err != "" {
		t.Error(err)
	}
	names := map[string]bool{}
	for _, p := range places() {
		for _, m := range p.mutants {
			if names[m.name] || m.why == "" || !strings.Contains(p.new, fmt.Sprintf("mutated(%q)", m.name)) {
				t.Errorf("%s: it is there twice, has no reason, or is never made", m.name)
			}
			names[m.name] = true
		}
		if p.old == p.new || strings.Count(p.new, "mutated(") != len(p.mutants) {
			t.Errorf("%s: a change without a name: %s", p.file, p.new)
		}
	}
	if len(names) < 25 {
		t.Errorf("there are %d mutants; the check needs 25", len(names))
	}
	for _, name := range few {
		if !names[name] {
			t.Errorf("there is no mutant %q", name)
		}
	}
}

// mutate gives the sources with all places changed, by file, and what does not fit.
func mutate() (sources map[string]string, problems string) {
	originals := map[string]string{}
	sources = map[string]string{}
	for _, p := range places() {
		if _, read := originals[p.file]; !read {
			data, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				return nil, err.Error()
			}
			originals[p.file], sources[p.file] = string(data), string(data)
			dir := filepath.Dir(p.file)
			sources[filepath.Join(dir, "mutated_by_tests.go")] = fmt.Sprintf(helper, filepath.Base(dir), asked)
		}
		if n := strings.Count(originals[p.file], p.old); n != 1 {
			problems += fmt.Sprintf("%s is stale: %q stands %d times in %s\n", p.mutants[0].name, p.old, n, p.file)
		}
		sources[p.file] = strings.Replace(sources[p.file], p.old, p.new, 1)
	}
	return sources, problems
}

// The simulation catches known mistakes in the protocol, which are put into the real
// sources, and made one at a time.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	names := few
	if *which != "" {
		names = strings.Split(*which, ",")
	}
	program := build(t)
	caught, tried := 0, 0
	for _, p := range places() {
		for _, m := range p.mutants {
			if *which != "all" && !slices.Contains(names, m.name) {
				continue
			}
			tried++
			began := time.Now()
			if what := m.try(t, program); what != "" {
				caught++
				t.Logf("%-42s caught after %5.1f s: %.200s", m.name, time.Since(began).Seconds(), what)
			}
		}
	}
	t.Logf("%d of %d mutants caught", caught, tried)
	if tried == 0 {
		t.Errorf("there is no mutant %q", *which)
	}
	if out, err := run(program, "", 10); err != nil {
		t.Errorf("without a mistake the mutated program fails, so it proves nothing: %v\n%s", err, out)
	}
}

// build makes the simulation with all the mistakes in it.
func build(t *testing.T) (program string) {
	t.Helper()
	sources, problems := mutate()
	if problems != "" {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for file, source := range sources {
		original, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		replace[original] = filepath.Join(dir, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(replace[original], []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "mutants")
	out, err := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	return program
}

// run runs seeds with a mistake, until one is violated.
func run(program, name string, seeds int) ([]byte, error) {
	c := exec.Command(program, "-test.run", "^TestSeeds$", "-test.timeout", "30m", "-until", "-seeds", strconv.Itoa(seeds))
	c.Env = append(os.Environ(), asked+"="+name)
	return c.CombinedOutput()
}

// violation is how TestSeeds says what it has found, or that a run never ends.
var violation = regexp.MustCompile(`(?m)seed \d+:\n.*|seed \d+: .*|the run does not end|deadlock: .*`)

// try returns how a mistake was caught, or fails the test.
func (m mutant) try(t *testing.T, program string) string {
	t.Helper()
	out, err := run(program, m.name, *bound)
	what := violation.Find(out)
	if err == nil || what == nil {
		t.Errorf("%s: it passed %d seeds, although %s (%v)\n%.2000s", m.name, *bound, m.why, err, out)
		return ""
	}
	return strings.Join(strings.Fields(string(what)), " ")
}
