package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
)

// Records that are no jobs are refused where they are taken; nothing is decoded for them.
func TestBadMessages(t *testing.T) {
	for _, c := range []struct {
		row   string
		value []byte
		code  codecs.Code
	}{
		{"empty value", []byte{}, pipeline.CodeMsgEmpty},
		{"tombstone", nil, pipeline.CodeMsgEmpty},
		{"not JSON", []byte("{neither json"), pipeline.CodeMsgInvalid},
		{"unknown version", []byte(`{"version":99,"dataset":"d","text":"x"}`), pipeline.CodeMsgVersion},
		{"10 MB of JSON", []byte(`{"dataset":"d","text":"` + strings.Repeat("x", 10<<20) + `"}`), pipeline.CodeMsgLimit},
		{"depth bomb", []byte(`{"dataset":"d","text":"x","meta":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), pipeline.CodeMsgLimit},
		{"duplicate keys", []byte(`{"dataset":"d","dataset":"e","text":"x"}`), pipeline.CodeMsgInvalid},
		{"bad UTF-8", []byte("{\"dataset\":\"d\",\"text\":\"\xff\xfe\"}"), pipeline.CodeMsgInvalid},
		{"caption over 64 KiB", []byte(`{"dataset":"d","text":"` + strings.Repeat("x", 64<<10+1) + `"}`), pipeline.CodeMsgLimit},
	} {
		_, err := message.Parse(message.Record{Key: []byte("k"), Value: c.value}, message.Options{})
		if e := codecs.AsError(err); e == nil || e.Code != c.code || e.Stage != codecs.StageTake {
			t.Errorf("%s: %v; want %s", c.row, err, c.code)
		}
	}
}

// Media that are not what they are called, or have nothing to take, are refused by what
// stands in them, at the stage that sees it.
func TestBadMedia(t *testing.T) {
	file := load(t)
	film, gif := file("videos/h264_bframes.mp4"), file("images/odd/g_interlaced.gif")
	pool, dir := newPool(t, 1, nil), t.TempDir()
	films := parse(t, "dataset: hostile\ntake: [video]\nvideo: {pick: all}\nkeep: jpeg\n")
	stills := parse(t, "dataset: hostile\ntake: [image]\nkeep: jpeg\n")
	both := parse(t, "dataset: hostile\ntake: [image, video]\nvideo: {pick: all}\nkeep: jpeg\n")
	for _, c := range []struct {
		row   string
		r     *pipeline.Recipe
		data  []byte
		code  codecs.Code // "" for samples
		stage codecs.Stage
	}{
		{"m3u8", both, []byte("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"mpd", both, []byte("<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period/></MPD>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"concat", both, []byte("ffconcat version 1.0\nfile /etc/passwd\n"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"SDP", both, []byte("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5000 RTP/AVP 96\r\n"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"ASX", both, []byte("<asx version=\"3.0\"><entry><ref href=\"file:///etc/passwd\"/></entry></asx>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"XSPF", both, []byte("<?xml version=\"1.0\"?><playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"/>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"SVG with an external entity", both, []byte("<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><svg xmlns=\"http://www.w3.org/2000/svg\"><text>&x;</text></svg>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"SVG of a billion laughs", both, []byte("<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY a \"ha\"><!ENTITY b \"" + strings.Repeat("&a;", 10) + "\"><!ENTITY c \"" + strings.Repeat("&b;", 10) + "\">]><svg xmlns=\"http://www.w3.org/2000/svg\"><text>&c;</text></svg>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"SVG that refers to another file", both, []byte("<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file:///etc/passwd\"/></svg>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"HEIC", both, append([]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), make([]byte, 1000)...), codecs.CodeFormatDenied, codecs.StageProbe},
		{"PDF", both, []byte("%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"PostScript", both, []byte("%!PS-Adobe-3.0\nshowpage\n"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"HTML in the place of a picture", both, []byte("<!DOCTYPE html><html><body>404</body></html>"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"ICO", both, []byte("\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"TIFF, off by default", both, file("images/odd/t_gray.tif"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"BMP, off by default", both, file("images/odd/b_gray.bmp"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"AVI, off by default", both, file("videos/mpeg4.avi"), codecs.CodeFormatDenied, codecs.StageProbe},
		{"PDF and JPEG in one", both, append([]byte("%PDF-1.7\n"), file("images/golden/exif1_64x48.jpg")...), codecs.CodeFormatDenied, codecs.StageProbe},
		{"GIF with a script behind", stills, append(bytes.Clone(gif), "/*<script>alert(1)</script>*/"...), "", ""},
		{"MP4 with a ZIP behind", films, append(bytes.Clone(film), "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...), "", ""},
		{"MP4 cut before its moov", films, file("videos/h264_nomoov.mp4"), codecs.CodeTruncated, codecs.StageProbe},
		{"MP4 without moov, though its boxes go on", films, at(film, find(film, "moov"), []byte("none")...), codecs.CodeInvalid, codecs.StageProbe},
		{"encrypted MP4", films, file("videos/h264_cenc.mp4"), codecs.CodeEncrypted, codecs.StageProbe},
		{"a video of sound alone", films, file("videos/audio.mp4"), codecs.CodeNoVideo, codecs.StageProbe},
		{"a video of cover art alone", films, file("videos/cover.m4a"), codecs.CodeNoVideo, codecs.StageProbe},
		{"a cut video", films, file("videos/h264_cut.mp4"), codecs.CodeTruncated, codecs.StageDecode},
		{"MOV with media at another URL", films, elsewhere(file("videos/mjpeg.mov"), box("url ", be32(0), []byte("file:///etc/passwd\x00"))), "", ""},
		{"MOV with media in another file", films, elsewhere(file("videos/mjpeg.mov"), alias("/etc/passwd")), codecs.CodeNoFrames, codecs.StageDecode},
		{"10 hours of black", films, black(t, 10*time.Hour), codecs.CodeLimitDuration, codecs.StageProbe},
		{"orientation 9", stills, file("images/odd/jexif9.jpg"), "", ""},
		{"rotation by 45 degrees", films, file("videos/h264_rot45.mp4"), "", ""},
	} {
		res, err := send(t.Context(), pool, dir, c.data, c.r)
		if err != nil {
			t.Fatalf("%s: %v", c.row, err)
		}
		switch {
		case c.code == "":
			if res.Fault != nil || res.sink.samples == 0 {
				t.Errorf("%s gave %d samples, %+v", c.row, res.sink.samples, res.Fault)
			}
		case res.Fault == nil || res.code() != c.code || res.Fault.Stage != string(c.stage) || res.sink.samples > 0:
			t.Errorf("%s ended as %+v with %d samples; want %s at %s", c.row, res.Fault, res.sink.samples, c.code, c.stage)
		}
	}
}

// elsewhere is a film whose track says that its media are in another file, which nobody is
// to open.
func elsewhere(film, entry []byte) []byte {
	dref := find(film, "dref")
	old := int(binary.BigEndian.Uint32(film[dref+12:]))
	out := append(bytes.Clone(film[:dref+12]), film[dref+12+old:]...)
	within := []string{"dref", "dinf", "minf", "mdia", "trak", "moov"}
	for _, b := range within {
		i := find(out, b) - 4
		binary.BigEndian.PutUint32(out[i:], binary.BigEndian.Uint32(out[i:])-uint32(old))
	}
	return grow(out, dref+12, entry, within...)
}

// alias names a file as QuickTime does: by volume, name and path.
func alias(path string) []byte {
	return box("alis", make([]byte, 4+10), []byte{27}, make([]byte, 27), make([]byte, 12), []byte{63}, make([]byte, 63), make([]byte, 16), make([]byte, 4+16),
		be16(2), be16(uint16(len(path))), []byte(path), be16(0xffff), be16(0))
}

// black is a small film that shows nothing for a long time.
func black(t *testing.T, lasts time.Duration) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "black.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("color=black:s=64x48:r=1/10:d=%d", int(lasts.Seconds())),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) > 2<<20 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	return data
}
