package pipeline

import (
	"bytes"
	"reflect"
	"testing"
)

func encoded(t testing.TB, s *Sample) []byte {
	parts, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join(parts, nil)
}

func TestSampleSurvivesEncoding(t *testing.T) {
	for _, s := range []*Sample{
		{Key: "k", Fields: []Field{}},
		{Key: "key", Fields: []Field{{"json", []byte("{}")}, {"vit.patches.npy", bytes.Repeat([]byte{7}, 70000)}}},
	} {
		var got Sample
		got.Fields = []Field{{"left over", nil}}
		if err := ParseSample(encoded(t, s), &got); err != nil || !reflect.DeepEqual(*s, got) {
			t.Errorf("%q comes back as %q, %v", s.Key, got.Key, err)
		}
	}
	if _, err := (&Sample{Key: string(make([]byte, 256))}).Encode(); err == nil {
		t.Error("a key over the limit is encoded")
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add(encoded(f, &Sample{Key: "k", Fields: []Field{{"json", []byte("{}")}}}))
	f.Add([]byte{1, 0, 'k', 255, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Sample
		if err := ParseSample(b, &s); err == nil && !bytes.Equal(encoded(t, &s), b) {
			t.Fatalf("% x does not survive", b)
		}
	})
}
