package pipeline

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// Keys are for ever: readers join on them.
func TestSampleKey(t *testing.T) {
	r := codecs.NewRational
	for _, c := range []struct {
		dataset, id string
		medium      int
		pts         codecs.Rational
		want        string
	}{
		{"d", "a", 0, r(0, 1), "ead93f9880d2807d35d15429-0-0-000000000000000"},
		{"d", "a", 1, r(1001, 30000), "ead93f9880d2807d35d15429-1-0-000000033366667"},
		{"d", "a", 0, r(-1, 3), "ead93f9880d2807d35d15429-0-0-n000000333333333"},
		{"d", "a", 0, codecs.Rational{}, "ead93f9880d2807d35d15429-0-0-x"},
		{"da", "", 0, r(3600, 1), "1f97fcee7b634ff799544473-0-0-003600000000000"},
	} {
		if got := SampleKey(c.dataset, c.id, c.medium, 0, c.pts); got != c.want {
			t.Errorf("key of %q %q %d %v is %s, want %s", c.dataset, c.id, c.medium, c.pts, got, c.want)
		}
	}
}

func TestKeysOfATrackSortByTime(t *testing.T) {
	var keys []string
	for i := range int64(500) {
		keys = append(keys, SampleKey("d", "a", 0, 0, codecs.NewRational(i*1001, 30000)))
	}
	if !slices.IsSorted(keys) || len(slices.Compact(keys)) != 500 {
		t.Error("keys of ascending times are not ascending, or not all different")
	}
}

func TestContentIDSeparatesItsParts(t *testing.T) {
	ids := map[string]bool{}
	for _, parts := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"", "abc"}, {"abc", ""}} {
		var b [][]byte
		for _, p := range parts {
			b = append(b, []byte(p))
		}
		ids[ContentID("d", b...)] = true
	}
	if len(ids) != 5 {
		t.Errorf("five different contents have %d ids", len(ids))
	}
}

func TestSecretNeverPrints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(" canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s Secret
	if err := s.UnmarshalText([]byte("file:" + path)); err != nil || s.Reveal() != "canary" {
		t.Fatalf("the secret is %q, %v", s.Reveal(), err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(j), fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x", s, s, s, s, s, s), fmt.Sprintf("%+v", struct{ S Secret }{s})} {
		if strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
	for _, bad := range []string{"canary", "file:", "env:MILLRACE_NO_SUCH_VARIABLE", "file:" + path + ".missing"} {
		var s Secret
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
