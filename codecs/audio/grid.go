package audio

import (
	"math/big"

	"github.com/millrace/millrace/codecs"
)

// far is beyond every sample.
const far = 1 << 60

// grid numbers a track's samples: n is heard at start + n/rate.
type grid struct {
	start codecs.Rational
	rate  int
}

// index is the sample that is heard at t: the nearest, halves up. It is negative before
// the track's start. Times that no track reaches come out as plus or minus far.
func (g grid) index(t codecs.Rational) int64 {
	x := new(big.Rat).SetFrac64(t.Num, t.Den)
	x.Sub(x, new(big.Rat).SetFrac64(g.start.Num, g.start.Den))
	x.Mul(x, new(big.Rat).SetInt64(2*int64(g.rate)))
	x.Add(x, new(big.Rat).SetInt64(1))
	// floor((2x+1)/2); Div rounds down, since denominators are above 0.
	n := new(big.Int).Div(x.Num(), new(big.Int).Mul(x.Denom(), big.NewInt(2)))
	if n.CmpAbs(big.NewInt(far)) > 0 {
		return int64(n.Sign()) * far
	}
	return n.Int64()
}

// time is when sample n is heard, unknown where it has no fraction of 64 bits.
func (g grid) time(n int64) codecs.Rational {
	return g.start.Add(codecs.NewRational(n, int64(g.rate)))
}
