package patch

import (
	"bytes"
	"image"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/codecs"
)

// guarded returns n bytes that end where unreadable memory begins, so that a wide load
// or store of one byte too many kills the test.
func guarded(t *testing.T, n int) []byte {
	t.Helper()
	page := unix.Getpagesize()
	whole := (n + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, whole+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(m) })
	if err := unix.Mprotect(m[whole:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return m[whole-n : whole : whole]
}

// TestKernelBounds runs both passes of the vector implementation between guard pages,
// on rows that end with the last pixel used and on ones that go on for a few more.
func TestKernelBounds(t *testing.T) {
	const most, lines = 1 << 13, 5
	from, to := guarded(t, most), guarded(t, most)
	copy(from, noise(most/3, 1, 1).Pix)
	fast := fastest()
	want := make([]byte, most)
	for in := 1; in < 32; in += 1 + thin {
		for out := 1; out < 26; out++ {
			for _, f := range Filters() {
				for end := max(1, out-3); end <= out; end++ {
					var a axis
					a.compute(f, in, out, min(end-1, out/3), end)
					lo, hi := a.span()
					n := a.to - a.from
					for wide := hi - lo; wide < hi-lo+6; wide++ {
						src, dst := from[most-wide*lines*3:], to[most-n*lines*3:]
						fast.across(dst, 3*n, src, 3*wide, lines, lo, &a)
						acrossGo(want, 3*n, src, 3*wide, lines, lo, &a)
						if !bytes.Equal(dst, want[:len(dst)]) {
							t.Fatalf("%s across, %d to %d: differs from the reference", f, in, out)
						}
					}
					const line = 37 // bytes: more than one vector, and no multiple
					src, dst := from[most-(hi-lo)*line:], to[most-n*line:]
					fast.down(dst, line, src, line, line, lo, &a)
					downGo(want, line, src, line, line, lo, &a)
					if !bytes.Equal(dst, want[:len(dst)]) {
						t.Fatalf("%s down, %d to %d: differs from the reference", f, in, out)
					}
				}
			}
		}
	}
}

// TestCutBounds cuts patches of all widths between guard pages, from pictures that end
// with the last patch.
func TestCutBounds(t *testing.T) {
	const gh, gw, most = 2, 3, 1 << 17
	from, to := guarded(t, most), guarded(t, most)
	copy(from, noise(most/3, 1, 1).Pix)
	fast := fastest()
	want := make([]byte, most)
	for p := 1; p < 50; p += 1 + thin/3 {
		for _, temporal := range []int{1, 2} {
			o := order{patch: p, temporal: temporal, merge: 1}
			n := gh * gw * o.values()
			pic := codecs.Pixels{Width: gw * p, Height: gh * p, Pix: from[most-gh*gw*p*p*3:]}
			for d := range temporal {
				fast.cut(o, to[most-n:], pic, image.Point{}, gh, gw, d)
				o.cut(want[:n], pic, image.Point{}, gh, gw, d)
			}
			if !bytes.Equal(to[most-n:], want[:n]) {
				t.Fatalf("patches of %d, %d in time: differ from the reference", p, temporal)
			}
		}
	}
}
