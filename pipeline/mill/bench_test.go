package mill

import (
	"testing"
)

// BenchmarkStart is what a child costs before its first job: it lives for up to two
// hundred of them.
func BenchmarkStart(b *testing.B) {
	for _, level := range []Confinement{Strict, Off} {
		b.Run(string(level), func(b *testing.B) {
			p := testPool(b, 1, func(c *Config) { c.Confinement, c.Jobs = level, 1 })
			a := assignment(b, "frame")
			for b.Loop() {
				if _, err := p.Do(b.Context(), a, &collected{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJob is what a job costs beside its decoding, in a child and without one.
func BenchmarkJob(b *testing.B) {
	for _, level := range []Confinement{Strict, Off} {
		b.Run(string(level), func(b *testing.B) {
			p := testPool(b, 1, func(c *Config) { c.Confinement, c.Jobs = level, 1e9 })
			a := assignment(b, "frame")
			for b.Loop() {
				if _, err := p.Do(b.Context(), a, &collected{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("in process", func(b *testing.B) {
		p := NewInProcess(1, newLine)
		a := assignment(b, "frame")
		for b.Loop() {
			if _, err := p.Do(b.Context(), a, &collected{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
