package codecs

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// Limits that came later are left out of JSON where they are the defaults, one by one, and
// come back; what was written before them is read with them.
func TestLimitsInJSON(t *testing.T) {
	later := []string{"max_video_side", "max_tokens", "max_frame_bytes"}
	for _, c := range []struct {
		name   string
		change func(*Limits)
		has    string // of the later ones; "" for none
	}{
		{"defaults", func(*Limits) {}, ""},
		{"an old one", func(l *Limits) { l.MaxFPS = 1 }, ""},
		{"max_video_side", func(l *Limits) { l.MaxVideoSide = 1 }, "max_video_side"},
		{"max_tokens", func(l *Limits) { l.MaxTokens = 1 }, "max_tokens"},
		{"max_frame_bytes", func(l *Limits) { l.MaxFrameBytes = 1 }, "max_frame_bytes"},
	} {
		l := DefaultLimits()
		c.change(&l)
		text, err := json.Marshal(struct{ L Limits }{l})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range later {
			if has := strings.Contains(string(text), name); has != (name == c.has) {
				t.Errorf("%s: %s", c.name, text)
			}
		}
		var back struct{ L Limits }
		if err := json.Unmarshal(text, &back); err != nil || back.L != l {
			t.Errorf("%s: came back as %+v, %v", c.name, back.L, err)
		}
	}
	if err := new(Limits).UnmarshalJSON([]byte(`{"max_fps":"many"}`)); err == nil {
		t.Error("a word was taken for a limit")
	}
}

// Each limit is needed, and told by its name.
func TestLimitsValidate(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Fatal(err)
	}
	var names map[string]int64
	full := DefaultLimits()
	full.MaxVideoSide, full.MaxTokens, full.MaxFrameBytes = 1, 1, 1 // so that they are written
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &names); err != nil || len(names) != 15 {
		t.Fatalf("%d limits: %v", len(names), err)
	}
	for name := range names {
		var l Limits
		one := maps.Clone(names)
		one[name] = -1
		bad, _ := json.Marshal(one)
		if err := json.Unmarshal(bad, &l); err != nil {
			t.Fatal(err)
		}
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), "limits."+name+" ") {
			t.Errorf("%s of -1: %v", name, err)
		}
	}
}

func TestCheckSize(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		w, h int
		want Code
	}{
		{KindVideo, 1, 1, ""},
		{KindVideo, 8192, 4394, ""},
		{KindVideo, 8192, 4395, CodeLimitPixels}, // 36 megapixels
		{KindVideo, 8193, 1, CodeLimitPixels},
		{KindVideo, 1, 8193, CodeLimitPixels},
		{KindVideo, 65535, 1, CodeLimitPixels},
		{KindImage, 8193, 1, ""},
		{KindImage, 16384, 3906, ""},
		{KindImage, 16384, 3907, CodeLimitPixels}, // 64 megapixels
		{KindImage, 16385, 1, CodeLimitPixels},
		{KindImage, 1, 16385, CodeLimitPixels},
		{KindVideo, 0, 5, CodeInvalid},
		{KindImage, 5, -1, CodeInvalid},
	} {
		err := DefaultLimits().CheckSize(c.kind, c.w, c.h)
		if e := AsError(err); c.want == "" && err != nil || c.want != "" && (e == nil || e.Code != c.want) {
			t.Errorf("%s of %dx%d: %v, want %q", c.kind, c.w, c.h, err, c.want)
		}
	}
	small := DefaultLimits()
	small.MaxSide = 100
	if e := AsError(small.CheckSize(KindVideo, 101, 1)); e == nil || e.Code != CodeLimitPixels {
		t.Errorf("max_side of 100 lets a video of 101 pixels through: %v", e)
	}
}
