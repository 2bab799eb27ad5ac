package mill

import "testing"

// A mill whose refused media Go alone has seen goes on; one that C has read for goes after
// as many as mill.max_refusals.
func TestRefusals(t *testing.T) {
	const onlyGo, inC, good = "bad", "exposed\nbad", "exposed\nframe"
	for _, c := range []struct {
		name     string
		max      int
		programs []string
		children []int // which child has each, counted from the first
	}{
		{"only Go has seen them", 1, []string{onlyGo, onlyGo, onlyGo, good}, []int{1, 1, 1, 1}},
		{"C has seen them", 1, []string{inC, inC, good}, []int{1, 2, 3}},
		{"C has seen good ones", 1, []string{good, good, good}, []int{1, 1, 1}},
		{"C has seen a good one before", 1, []string{good, onlyGo, good}, []int{1, 1, 1}},
		{"three are allowed", 3, []string{inC, inC, good, onlyGo, inC, good}, []int{1, 1, 1, 1, 1, 2}},
	} {
		p := testPool(t, 1, func(f *Config) { f.Refusals = c.max })
		number, before := map[int]int{}, 0
		for i, program := range c.programs {
			sink := &collected{}
			v, err := p.Do(t.Context(), assignment(t, program), sink)
			if err != nil {
				t.Fatal(err)
			}
			if refused := program != good; refused != (v.Fault != nil) || refused && len(sink.data) > 0 {
				t.Fatalf("%s: %q ended as %+v with %d samples", c.name, program, v, len(sink.data))
			}
			ch := <-p.slots
			p.slots <- ch
			switch {
			case ch == nil: // killed after it: the next job has a new one
				before++
				if before != c.children[i] {
					t.Errorf("%s: job %d had child %d; want %d", c.name, i, before, c.children[i])
				}
			default:
				pid := ch.cmd.Process.Pid
				if number[pid] == 0 {
					number[pid] = before + 1
				}
				if number[pid] != c.children[i] {
					t.Errorf("%s: job %d had child %d; want %d", c.name, i, number[pid], c.children[i])
				}
			}
		}
		p.Close()
	}
}
