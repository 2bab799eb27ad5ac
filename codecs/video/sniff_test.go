package video

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	for _, c := range []struct{ name, head, want string }{
		{"mp4", "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", MP4},
		{"m4a", "\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00", MP4},
		{"QuickTime", "\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00", MOV},
		{"QuickTime of old", "\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", MOV},
		{"HEIC", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", ""},
		{"AVIF", "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", ""},
		{"Matroska", "\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska\x42\x87\x81\x04", Matroska},
		{"WebM", "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87\x81\x04", WebM},
		{"another EBML", "\x1a\x45\xdf\xa3\x9f\x42\x82\x84mcif", ""},
		{"EBML cut short", "\x1a\x45\xdf\xa3\x9f\x42\x82\x88matr", ""},
		{"AVI", "RIFF\x24\x00\x00\x00AVI LIST", AVI},
		{"WebP", "RIFF\x24\x00\x00\x00WEBPVP8 ", ""},
		{"FLV", "FLV\x01\x05\x00\x00\x00\x09", FLV},
		{"transport stream", "G" + strings.Repeat("\x00", 187) + "G" + strings.Repeat("\x00", 187) + "G", MPEGTS},
		{"one sync byte", "G" + strings.Repeat("\x00", 400), ""},
		{"HLS", "#EXTM3U\n#EXT-X-VERSION:3\n", ""},
		{"HLS made to look like a box", "#EXTmoov", MOV}, // and the demuxer refuses it
		{"DASH", "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">", ""},
		{"concat", "ffconcat version 1.0\nfile /etc/passwd\n", ""},
		{"SDP", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", ""},
		{"PNG", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", ""},
		{"text", "Good morning", ""},
		{"nothing", "", ""},
	} {
		if got, ok := Sniff([]byte(c.head)); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
	}
}

func TestCut(t *testing.T) {
	for name, want := range map[string]bool{
		"h264_bframes.mp4": false, "h264_fragments.mp4": false, "h264_vfr.mkv": false, "vp9.webm": false, "mpeg4.avi": false,
		"h264_cut.mp4": true, "h264_cut.mkv": true, "h264_nomoov.mp4": true,
	} {
		src := load(t, name)
		container, _ := Sniff(src)
		if got := cut(src, container); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if want {
			continue
		}
		if container == AVI || container == Matroska || container == WebM {
			if !cut(src[:len(src)-1], container) {
				t.Errorf("%s without its last byte is whole", name)
			}
		}
		if cut(append(src[:len(src):len(src)], "some rubbish that is no box"...), container) {
			t.Errorf("%s with rubbish behind it is cut", name)
		}
	}
}

func FuzzSniff(f *testing.F) {
	seeds(f, 512)
	f.Fuzz(func(t *testing.T, head []byte) {
		container, ok := Sniff(head)
		if _, known := demuxers[container]; known != ok {
			t.Errorf("%q, %v", container, ok)
		}
		if ok {
			cut(bytesSource(head), container)
		}
	})
}

func seeds(f *testing.F, most int) {
	files, err := os.ReadDir(videos)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range files {
		if strings.HasSuffix(e.Name(), ".sh") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(videos, e.Name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(most, len(b))])
	}
}
