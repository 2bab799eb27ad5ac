package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/millrace/millrace/codecs"
)

// Sample is what a training loader gets: a key and named fields. A field's name is
// its extension in a WebDataset shard: "json", "vit.patches.npy", "frame.jpg".
type Sample struct {
	Key    string
	Fields []Field
}

// Field is one named part of a sample. Data belongs to whoever made the sample and
// is valid during the call that hands it over.
type Field struct {
	Name string
	Data []byte
}

// Bytes is the size of all fields.
func (s *Sample) Bytes() int64 {
	var n int64
	for _, f := range s.Fields {
		n += int64(len(f.Data))
	}
	return n
}

// SampleKey derives a sample's key from its job, the medium's place in the job, the
// track and the presentation time: the same over re-runs, shard sizes and formats.
// It holds only [0-9a-z-], so it is safe as a file name and as a WebDataset key.
func SampleKey(dataset, id string, medium, track int, pts codecs.Rational) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%d:%s", len(dataset), dataset, len(id), id)
	return fmt.Sprintf("%s-%d-%d-%s", hex.EncodeToString(h.Sum(nil)[:12]), medium, track, keyTime(pts))
}

// keyTime writes a time as whole nanoseconds, rounded to nearest, so that keys of
// one track sort by time. A time before zero is marked with n.
func keyTime(t codecs.Rational) string {
	if !t.Known() {
		return "x"
	}
	x := new(big.Int).Mul(big.NewInt(t.Num), big.NewInt(2e9))
	d := big.NewInt(2 * t.Den)
	x.Add(x, big.NewInt(t.Den))
	q := new(big.Int)
	q.DivMod(x, d, new(big.Int)) // floor, also below zero
	if q.Sign() < 0 {
		return "n" + fmt.Sprintf("%015s", q.Abs(q).String())
	}
	return fmt.Sprintf("%015s", q.String())
}
