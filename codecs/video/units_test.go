package video

import (
	"encoding/hex"
	"strings"
	"testing"
)

// Packets of testdata/videos, as x264, x265, libvpx, libaom and SVT-AV1 wrote them, cut
// short behind their headers. In packets with lengths these are adjusted.
var (
	avcC = "0164000affe100186764000aacd9420db011000003000100000300300f12259601000668ebe3cb22c0fdf8f800"
	av1C = "81000c000a0a000000032dffc02f8004"
)

func TestUnits(t *testing.T) {
	hvcC := "01" + strings.Repeat("00", 20) + "0f" + "00"
	for _, c := range []struct {
		name, codec, extra, packet string
		want                       unit
		ok                         bool
	}{
		{"IDR", "h264", avcC, "000000056588840015", unit{anchor: anchorClosed}, true},
		{"recovery point and I", "h264", avcC, "00000005060601c480 00000006419aab49a841", unit{anchor: anchorOpen}, true},
		{"recovery point over some pictures", "h264", avcC, "000000050606012480 00000004419aab49", unit{}, true},
		{"recovery point, not exact", "h264", avcC, "000000050606018480 00000004419aab49", unit{}, true},
		{"SEI that lies about its size", "h264", avcC, "000000040606ff80 00000004419aab49", unit{}, true},
		{"P", "h264", avcC, "00000006419a246c457f", unit{}, true},
		{"b that nobody refers to", "h264", avcC, "00000006019e617442df", unit{spare: true}, true},
		{"the same, two slices", "h264", avcC, "00000003019e61 00000003019e62", unit{spare: true}, true},
		{"second field is a reference", "h264", avcC, "00000003019e61 00000003419e62", unit{}, true},
		{"with a parameter set", "h264", avcC, "0000000468ebe3cb 00000003019e62", unit{params: true}, true},
		{"Annex B, delimiter and b", "h264", "", "0000000109f0 00000001019e617442df", unit{spare: true}, true},
		{"Annex B, parameters and IDR", "h264", "", "0000000109f0 000000016764000a 0000000168ebe3cb 0000016588840015", unit{anchor: anchorClosed, params: true}, true},
		{"no slice", "h264", avcC, "0000000209f0", unit{spare: true}, false},
		{"length past the end", "h264", avcC, "00000007419a246c457f", unit{}, false},
		{"length of zero", "h264", avcC, "00000000", unit{spare: true}, false},
		{"scalable extension", "h264", avcC, "00000003019e61 0000000474000102", unit{}, false},
		{"empty", "h264", "", "", unit{spare: true}, false},

		{"IDR", "hevc", hvcC, "000000042801af1d", unit{anchor: anchorClosed}, true},
		{"CRA", "hevc", hvcC, "000000042a01ac30", unit{anchor: anchorOpen}, true},
		{"TRAIL_R", "hevc", hvcC, "000000040201d029", unit{}, true},
		{"TRAIL_N", "hevc", hvcC, "000000040001e024", unit{spare: true}, true},
		{"TSA_N of layer 1", "hevc", hvcC, "000000040402e024", unit{spare: true, layer: 1}, true},
		{"RASL_R", "hevc", hvcC, "000000041201e162", unit{leading: true}, true},
		{"RASL_N", "hevc", hvcC, "000000041001e146", unit{leading: true, spare: true}, true},
		{"parameters", "hevc", hvcC, "0000000440010c01 000000040001e024", unit{params: true}, true},
		{"BLA", "hevc", hvcC, "000000042201ac30", unit{}, false},
		{"end of sequence", "hevc", hvcC, "000000040201d029 000000024801", unit{}, false},
		{"second layer", "hevc", hvcC, "000000040209d029", unit{spare: true}, false},
		{"Annex B", "hevc", "", "000000014601 10 00000001 2601af1d", unit{anchor: anchorClosed}, true},

		{"key", "vp8", "", "1030009d012a60004000", unit{anchor: anchorClosed}, true},
		{"inter", "vp8", "", "9106000b1170", unit{}, true},
		{"altref that is not shown", "vp8", "", "8106000b1170", unit{hidden: true}, true},
		{"cut", "vp8", "", "9106", unit{}, false},

		{"key", "vp9", "", "824983420005f003f600", unit{anchor: anchorClosed}, true},
		{"inter", "vp9", "", "86004092f0212500", unit{}, true},
		{"not shown", "vp9", "", "84004092f0212500", unit{hidden: true}, true},
		{"superframe: altref, then inter", "vp9", "", "84004092 860040 c1 04 03 c1", unit{}, true},
		{"superframe of two that are shown", "vp9", "", "86004092 860040 c1 04 03 c1", unit{}, false},
		{"superframe with wrong sizes", "vp9", "", "84004092 860040 c1 40 03 c1", unit{}, false},
		{"shown again", "vp9", "", "88", unit{}, true},
		{"not VP9", "vp9", "", "4600", unit{}, false},

		{"sequence and key", "av1", av1C, "0a0a000000032dffcfbf9804 320a1400a65048dd6d5bd0bf", unit{anchor: anchorClosed, params: true}, true},
		{"refreshes nothing", "av1", av1C, "320a3203000b6d6d955a0000", unit{spare: true}, true},
		{"refreshes a slot", "av1", "81000c000a0a000000032dffcdaf9004", "320a3201e0400000234a8008", unit{}, true},
		{"shows a slot", "av1", av1C, "1a01d8", unit{}, true},
		{"no sequence header", "av1", "", "320a3203000b6d6d955a0000", unit{spare: true}, false},
		{"size past the end", "av1", av1C, "32203203000b", unit{spare: true}, false},

		{"by flag", "mjpeg", "", "ffd8", unit{anchor: anchorClosed}, true},
		{"by flag", "mpeg4", "", "000001b6", unit{anchor: anchorOpen}, true},
	} {
		extra, err := hex.DecodeString(c.extra)
		if err != nil {
			t.Fatal(err)
		}
		packet, err := hex.DecodeString(strings.ReplaceAll(c.packet, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parserFor(c.codec, extra)(packet, true)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s, %s: %+v, %v; want %+v, %v", c.codec, c.name, got, ok, c.want, c.ok)
		}
	}
	if parserFor("gif", nil) != nil {
		t.Error("a codec whose packets are not understood has a parser")
	}
}

func FuzzUnits(f *testing.F) {
	codecs := []string{"h264", "hevc", "vp8", "vp9", "av1", "mpeg4"}
	add := func(codec byte, extra, packet string) {
		e, _ := hex.DecodeString(extra)
		p, _ := hex.DecodeString(packet)
		f.Add(codec, e, p)
	}
	add(0, avcC, "00000005060601c48000000006419aab49a841")
	add(0, "", "0000000109f0000000016764000a0000000168ebe3cb0000016588840015")
	add(1, "01"+strings.Repeat("00", 20)+"0f00", "0000000440010c01000000042a01ac30")
	add(2, "", "1030009d012a60004000")
	add(3, "", "84004092860040c10403c1")
	add(4, av1C, "0a0a000000032dffcfbf9804320a1400a65048dd6d5bd0bf")
	add(4, av1C, "320a3203000b6d6d955a0000")
	f.Fuzz(func(t *testing.T, codec byte, extra, packet []byte) {
		name := codecs[int(codec)%len(codecs)]
		parse := parserFor(name, extra)
		u, ok := parse(packet, false)
		if !ok {
			return
		}
		if len(packet) == 0 {
			t.Errorf("%s: an empty packet is understood", name)
		}
		if u.params && u.spare {
			t.Errorf("%s: a packet with parameter sets may be left out: %+v", name, u)
		}
		if again, ok := parse(packet, false); name != "av1" && (!ok || again != u) {
			t.Errorf("%s: read again, it is %+v", name, again)
		}
	})
}
