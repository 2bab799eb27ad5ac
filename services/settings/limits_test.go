package settings

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline/message"
)

// numbers are the numeric settings in v, durations in nanoseconds, by their full names.
func numbers(prefix string, v reflect.Value, into map[string]int64) {
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		f, full := v.Field(i), prefix+"."+name
		if options == "inline" {
			full = prefix
		} else if name == "" || name == "-" {
			continue
		}
		switch {
		case f.Kind() == reflect.Struct:
			numbers(full, f, into)
		case f.CanInt():
			into[full] = f.Int()
		}
	}
}

// amount reads what the table says: 4 GiB, 10m, 36,000,000.
func amount(t *testing.T, s string) int64 {
	t.Helper()
	if d, err := time.ParseDuration(s); err == nil && strings.ContainsAny(s, "hms") {
		return int64(d)
	}
	digits, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, ",", ""), 10, 64)
	shift, known := map[string]int{"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[unit]
	if err != nil || !known {
		t.Fatalf("README.md: %q is no amount", s)
	}
	return n << shift
}

// The table of limits in README.md has their names and defaults, and leaves out none of
// mills, of HTTP and of recipes.
func TestLimitsInReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n### Limits\n")
	text, _, _ = strings.Cut(text, "\n## ")
	if !found {
		t.Fatal("README.md has no part named Limits")
	}
	c, have := Default(), map[string]int64{}
	numbers("mill", reflect.ValueOf(c.Mill), have)
	numbers("source", reflect.ValueOf(c.Source), have)
	numbers("queue", reflect.ValueOf(c.Queue), have)
	numbers("limits", reflect.ValueOf(codecs.DefaultLimits()), have)
	said := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z0-9_.]+`(?:, `[a-z0-9_.]+`)*) \\| ([^|]+) \\|").FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			name, want := strings.Trim(name, "`"), amount(t, m[2])
			if got, ok := have[name]; !ok || got != want {
				t.Errorf("README.md says that %s is %s (%d); it is %d (known: %t)", name, m[2], want, got, ok)
			}
			if said[name] {
				t.Errorf("README.md has %s twice", name)
			}
			said[name] = true
		}
	}
	for name := range have {
		if (strings.HasPrefix(name, "mill.max_") || strings.HasPrefix(name, "source.http.") || strings.HasPrefix(name, "limits.")) && !said[name] {
			t.Errorf("README.md does not have %s", name)
		}
	}
}

// Constants of messages are as README.md says.
func TestMessageLimitsInReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("these are constants: %d MiB, %d headers of %d KiB together, JSON %d levels deep, %d media, %d KiB of text, 1,%03d objects of a notification",
		message.MaxValue>>20, message.MaxHeaders, message.MaxHeaderBytes>>10, message.MaxDepth, message.MaxMedia, message.MaxText>>10, message.MaxRecords-1000)
	if !strings.Contains(string(b), want) {
		t.Errorf("README.md does not say: %s", want)
	}
}
