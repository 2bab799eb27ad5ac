package audio

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// decoded is what the ffmpeg program reads out of a file, as raw samples of a format.
func decoded(tb testing.TB, file []byte, ext, format string) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sound."+ext)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	b, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", path, "-f", format, "-").CombinedOutput()
	if err != nil {
		tb.Fatalf("ffmpeg: %v\n%s", err, b)
	}
	return b
}

func raw(tb testing.TB, array any) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, array); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestWAV(t *testing.T) {
	noLeaks(t)
	s := &codecs.Sound{Rate: 22050, Samples: waveform(pcm(t, "noise", 3001, 22050, 0))}
	s.Samples[7], s.Samples[8] = 1.75, math.SmallestNonzeroFloat32 // no clipping, no flushing
	file := EncodeWAV(s)
	if !bytes.Equal(decoded(t, file, "wav", "f32le"), raw(t, s.Samples)) {
		t.Error("ffmpeg reads other samples")
	}
	if got := drain(t, file, WAV, Rules{Rate: 22050}); !equal(got, s.Samples) {
		t.Error("our own reader reads other samples")
	}
	if empty := EncodeWAV(&codecs.Sound{Rate: 16000}); len(empty) != 58 {
		t.Errorf("without a sample it has %d bytes", len(empty))
	}
}

func TestFLAC(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct{ rate, n int }{{16000, 1}, {16000, 15}, {16000, 4608}, {16000, 40000}, {44100, 9217}, {48000, 100}, {8000, 12345}} {
		s := &codecs.Sound{Rate: c.rate, Samples: waveform(pcm(t, "sweep", c.n, c.rate, c.rate/3))}
		if c.n > 20 { // beyond full scale, and halves
			copy(s.Samples[5:], []float32{1, 1.5, -1, -1.5, 0.5 / 32768, 1.5 / 32768, -0.5 / 32768, 2.51 / 32768})
		}
		want := make([]int16, c.n)
		for i, v := range s.Samples {
			want[i] = int16(max(-32768, min(32767, math.RoundToEven(float64(v)*32768))))
		}
		file, err := EncodeFLAC(s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(decoded(t, file, "flac", "s16le"), raw(t, want)) {
			t.Errorf("%v: ffmpeg reads other samples", c)
		}
		if got := drain(t, file, FLAC, Rules{Rate: c.rate}); !equal(got, waveform(want)) {
			t.Errorf("%v: our own reader reads other samples", c)
		}
		// STREAMINFO, RFC 9639, 8.2.
		info := file[8:42]
		most := binary.BigEndian.Uint64(info[10:])
		rate, channels, bits, total := most>>44, most>>41&7+1, most>>36&31+1, most&(1<<36-1)
		if string(file[:8]) != "fLaC\x80\x00\x00\x22" || rate != uint64(c.rate) || channels != 1 || bits != 16 || total != uint64(c.n) {
			t.Errorf("%v: STREAMINFO says %d Hz, %d channels, %d bits, %d samples", c, rate, channels, bits, total)
		}
		if sum := md5.Sum(raw(t, want)); !bytes.Equal(info[18:], sum[:]) {
			t.Errorf("%v: the MD5 is %x, want %x", c, info[18:], sum)
		}
		again, err := EncodeFLAC(s)
		if err != nil || !bytes.Equal(again, file) {
			t.Errorf("%v: the same sound gave other bytes, %v", c, err)
		}
		if bytes.Contains(file, []byte("Lavf")) || bytes.Contains(file, []byte("Lavc")) {
			t.Errorf("%v: the file names its encoder", c)
		}
	}
	for _, s := range []*codecs.Sound{{Rate: 16000}, {Rate: -1, Samples: make([]float32, 9)}, {Rate: 5_000_000, Samples: make([]float32, 9)}} {
		if _, err := EncodeFLAC(s); err == nil {
			t.Errorf("%d samples at %d Hz: no error", len(s.Samples), s.Rate)
		}
	}
}

// 16 bits in are 16 bits out.
func TestFLACKeeps16Bits(t *testing.T) {
	noLeaks(t)
	info, samples := whole(t, "mono16.wav", Rules{Rate: 16000})
	file, err := EncodeFLAC(&codecs.Sound{Rate: info.SampleRate, Samples: samples})
	if err != nil {
		t.Fatal(err)
	}
	if b := load(t, "mono16.wav"); !bytes.Equal(decoded(t, file, "flac", "s16le"), b[len(b)-2*len(samples):]) {
		t.Error("the file's own samples are not kept")
	}
}
