package patch

import (
	"testing"

	"github.com/millrace/millrace/codecs"
)

// TestGoldenSizes holds each rule to sizes that a Python form of it, itself checked
// against the processors, gave. A row is height, width, parameters, and the result;
// a result of 0 is a picture that is refused.
func TestGoldenSizes(t *testing.T) {
	var rows map[string][][]int
	readGolden(t, "size-cases.json", &rows)
	pinpoints := Presets()["llava-next"].Pinpoints
	rules := map[string]func(s size, p []int) (size, error){
		"shortest_edge": func(s size, p []int) (size, error) { return shortestEdge(s, p[0]), nil },
		"naflex":        func(s size, p []int) (size, error) { return naflexSize(s, p[0], p[1]), nil },
		"smart": func(s size, p []int) (size, error) {
			return smartSize(s, p[0], int64(p[1]), int64(p[2]), p[3], p[4])
		},
		"pixtral":  func(s size, p []int) (size, error) { return longestEdge(s, p[0], p[1]) },
		"pinpoint": func(s size, _ []int) (size, error) { return bestPinpoint(s, pinpoints), nil },
		"inside":   func(s size, p []int) (size, error) { return inside(s, size{p[0], p[1]}), nil },
	}
	if len(rows) != len(rules) {
		t.Fatalf("%d rules in the data, %d here", len(rows), len(rules))
	}
	for name, rule := range rules {
		for _, r := range rows[name] {
			n := len(r) - 2
			got, err := rule(size{r[0], r[1]}, r[2:n])
			if want := (size{r[n], r[n+1]}); got != want || (err != nil) != (want == size{}) {
				t.Errorf("%s: %dx%d (height first) with %v gives %v (%v), want %v", name, r[0], r[1], r[2:n], got, err, want)
			}
			if err != nil && codecs.AsError(err).Code != codecs.CodeLayout {
				t.Errorf("%s: %v is not of code %s", name, err, codecs.CodeLayout)
			}
		}
	}
}

func TestCentre(t *testing.T) {
	for _, k := range []struct{ n, edge, from, count, at int }{
		{224, 224, 0, 224, 0}, {225, 224, 0, 224, 0}, {227, 224, 1, 224, 0}, {300, 224, 38, 224, 0},
		{223, 224, 0, 223, 1}, {222, 224, 0, 222, 1}, {221, 224, 0, 221, 2},
	} {
		from, count, at := centre(k.n, k.edge)
		if from != k.from || count != k.count || at != k.at {
			t.Errorf("centre(%d, %d) = %d, %d, %d", k.n, k.edge, from, count, at)
		}
	}
}
