package still

import (
	"encoding/binary"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// ifd builds an EXIF block of entries: tag, type, count, value field.
func ifd(order binary.AppendByteOrder, prefix string, entries ...[4]uint32) []byte {
	magic := "II*\x00"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		magic = "MM\x00*"
	}
	b := order.AppendUint32([]byte(prefix+magic), 8)
	b = order.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = order.AppendUint16(b, uint16(e[0]))
		b = order.AppendUint16(b, uint16(e[1]))
		b = order.AppendUint32(b, e[2])
		switch e[1] {
		case 1:
			b = append(b, byte(e[3]), 0, 0, 0)
		case 3:
			b = append(order.AppendUint16(b, uint16(e[3])), 0, 0)
		default:
			b = order.AppendUint32(b, e[3])
		}
	}
	return order.AppendUint32(b, 0)
}

func TestEXIFOrientation(t *testing.T) {
	type entry = [4]uint32
	le, be := binary.LittleEndian, binary.BigEndian
	other := entry{0x010F, 2, 4, 'x'}
	loop := ifd(le, "", other)
	le.PutUint32(loop[len(loop)-4:], 8) // the next directory is this one
	far := ifd(le, "", other)
	le.PutUint32(far[4:], 0xFFFFFFF0)
	for _, c := range []struct {
		name  string
		block []byte
		want  int
	}{
		{"little", ifd(le, "", entry{0x112, 3, 1, 6}), 6},
		{"big, with prefix", ifd(be, "Exif\x00\x00", entry{0x112, 3, 1, 8}), 8},
		{"second entry", ifd(le, "", other, entry{0x112, 3, 1, 3}), 3},
		{"long", ifd(be, "", entry{0x112, 4, 1, 5}), 5},
		{"byte", ifd(le, "", entry{0x112, 1, 1, 7}), 7},
		{"orientation 9", ifd(le, "", entry{0x112, 3, 1, 9}), 1},
		{"orientation 0", ifd(le, "", entry{0x112, 3, 1, 0}), 1},
		{"two values", ifd(le, "", entry{0x112, 3, 2, 6}), 1},
		{"text", ifd(le, "", entry{0x112, 2, 1, '6'}), 1},
		{"no such tag", ifd(le, "", other), 0},
		{"a loop of directories", loop, 0},
		{"an offset beyond the block", far, 0},
		{"cut in the entry", ifd(le, "", entry{0x112, 3, 1, 6})[:18], 0},
		{"more entries claimed than there are", append([]byte("II*\x00\x08\x00\x00\x00\xff\xff"), make([]byte, 30)...), 0},
		{"no magic", []byte("XX*\x00\x08\x00\x00\x00\x00\x00"), 0},
		{"nothing", nil, 0},
	} {
		if got := exifOrientation(c.block); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestXMPOrientation(t *testing.T) {
	for text, want := range map[string]int{
		`<r tiff:Orientation="6"/>`:                                6,
		`<tiff:Orientation>3</tiff:Orientation>`:                   3,
		`tiff:Orientation="9"`:                                     1,
		`tiff:Orientation='6'`:                                     0,
		`tiff:Orientation tiff:Orientation="x" tiff:Orientation>4`: 4,
		`tiff:Orientation`:                                         0,
		``:                                                         0,
	} {
		if got := xmpOrientation([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestOrientAgreesWithTurn: Info's flip and rotation do what orient does.
func TestOrientAgreesWithTurn(t *testing.T) {
	const w, h = 3, 2
	pix := make([]byte, w*h*3)
	for i := range pix {
		pix[i] = byte(i)
	}
	for o := 0; o <= 9; o++ {
		degrees, mirrored := orientation{value: o}.turn()
		want, ww, wh := pix, w, h
		if mirrored {
			want, ww, wh = orient(nil, want, ww, wh, 2)
		}
		for range degrees / 90 {
			want, ww, wh = orient(nil, want, ww, wh, 6)
		}
		got, gw, gh := orient(nil, pix, w, h, o)
		if gw != ww || gh != wh || string(got) != string(want) {
			t.Errorf("orientation %d: %dx%d %v, want %dx%d %v", o, gw, gh, got, ww, wh, want)
		}
	}
}

func TestTimelinePicks(t *testing.T) {
	// Frames at 0, 0.1, 0.2 (shown 0.5 s, since 0.02 s and above are as said), 0.7; end 0.8.
	shows := timeline([]int{10, 0, 50, 1}, 100)
	if shows.end.Cmp(codecs.NewRational(8, 10)) != 0 {
		t.Fatalf("end %s", shows.end)
	}
	r := codecs.NewRational
	for _, c := range []struct {
		name string
		pick codecs.Pick
		want []int
	}{
		{"nothing said", codecs.Pick{}, []int{0, 1, 2, 3}},
		{"all", codecs.Pick{Rule: codecs.PickAll}, []int{0, 1, 2, 3}},
		{"every 3", codecs.Pick{Rule: codecs.PickEvery, N: 3}, []int{0, 3}},
		{"keyframes", codecs.Pick{Rule: codecs.PickKeyframes}, []int{0}},
		{"fps 2: 0 and 0.5", codecs.Pick{Rule: codecs.PickFPS, Rate: r(2, 1)}, []int{0, 2}},
		{"fps 10", codecs.Pick{Rule: codecs.PickFPS, Rate: r(10, 1)}, []int{0, 1, 2, 3}},
		{"fps of a billion", codecs.Pick{Rule: codecs.PickFPS, Rate: r(1<<62, 1)}, []int{0, 1, 2, 3}},
		{"fps of one in an hour", codecs.Pick{Rule: codecs.PickFPS, Rate: r(1, 3600)}, []int{0}},
		{"uniform 1: 0.4", codecs.Pick{Rule: codecs.PickUniform, N: 1}, []int{2}},
		{"uniform 2: 0.2 and 0.6", codecs.Pick{Rule: codecs.PickUniform, N: 2}, []int{2}},
		{"uniform 4: 0.1, 0.3, 0.5, 0.7", codecs.Pick{Rule: codecs.PickUniform, N: 4}, []int{1, 2, 3}},
		{"uniform of a billion", codecs.Pick{Rule: codecs.PickUniform, N: 1 << 60}, []int{0, 1, 2, 3}},
		{"at", codecs.Pick{Rule: codecs.PickAt, At: []codecs.Rational{r(1, 20), r(15, 100), r(19, 100), r(9, 1)}}, []int{0, 1, 3}},
		{"at before the start", codecs.Pick{Rule: codecs.PickAt, At: []codecs.Rational{r(-1, 1), r(0, 1)}}, []int{0}},
	} {
		got := shows.picked(c.pick)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(ifd(binary.LittleEndian, "", [4]uint32{0x112, 3, 1, 6}))
	f.Add(ifd(binary.BigEndian, "Exif\x00\x00", [4]uint32{0x10F, 2, 4, 0}, [4]uint32{0x112, 4, 1, 5}))
	f.Add([]byte(`<r tiff:Orientation="6"/>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, got := range []int{exifOrientation(b), xmpOrientation(b), fileOrientation(b, b).value} {
			if got < 0 || got > 8 {
				t.Errorf("%d", got)
			}
		}
	})
}
