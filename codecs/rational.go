package codecs

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Rational is an exact fraction, used for presentation times, durations (both in
// seconds), frame rates and aspect ratios. The zero value means "not known".
// In JSON it is the string "num/den".
type Rational struct {
	Num, Den int64
}

// NewRational returns num/den in lowest terms with a positive denominator.
// A zero denominator gives the zero Rational, as does what does not fit then.
func NewRational(num, den int64) Rational {
	switch {
	case den == 0:
		return Rational{}
	case num == math.MinInt64 || den == math.MinInt64: // has no negative in 64 bits
		return fromBig(big.NewRat(num, den))
	case den < 0:
		num, den = -num, -den
	}
	g := gcd(num, den)
	return Rational{num / g, den / g}
}

// Scaled returns r*n/d without intermediate overflow, or the zero Rational
// where the result does not fit.
func (r Rational) Scaled(n, d int64) Rational {
	if r.Den == 0 || d == 0 {
		return Rational{}
	}
	x := new(big.Rat).SetFrac64(r.Num, r.Den)
	return fromBig(x.Mul(x, new(big.Rat).SetFrac64(n, d)))
}

// Add returns r+o, or the zero Rational where the result does not fit or
// either side is not known.
func (r Rational) Add(o Rational) Rational {
	if r.Den == 0 || o.Den == 0 {
		return Rational{}
	}
	x := new(big.Rat).SetFrac64(r.Num, r.Den)
	return fromBig(x.Add(x, new(big.Rat).SetFrac64(o.Num, o.Den)))
}

// Sub returns r-o, or the unknown rational where either is unknown or the result does
// not fit.
func (r Rational) Sub(o Rational) Rational {
	if r.Den == 0 || o.Den == 0 {
		return Rational{}
	}
	x := new(big.Rat).SetFrac64(r.Num, r.Den)
	return fromBig(x.Sub(x, new(big.Rat).SetFrac64(o.Num, o.Den)))
}

// Cmp compares two known rationals: -1, 0 or +1.
func (r Rational) Cmp(o Rational) int {
	return new(big.Rat).SetFrac64(r.Num, max(r.Den, 1)).Cmp(new(big.Rat).SetFrac64(o.Num, max(o.Den, 1)))
}

// Known reports whether r holds a value.
func (r Rational) Known() bool { return r.Den != 0 }

// Float returns the nearest float64; NaN where r is not known.
func (r Rational) Float() float64 {
	if r.Den == 0 {
		return math.NaN()
	}
	return float64(r.Num) / float64(r.Den)
}

// String returns "num/den", or "" where r is not known.
func (r Rational) String() string {
	if r.Den == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.Num, r.Den)
}

// MarshalJSON writes "num/den".
func (r Rational) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Rational) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := ParseRational(s)
	*r = v
	return err
}

// ParseRational reads "num/den", a decimal such as "0.25" (exactly), or "".
func ParseRational(s string) (Rational, error) {
	if s == "" {
		return Rational{}, nil
	}
	if strings.ContainsAny(s, "eE") || len(s) > 64 {
		return Rational{}, fmt.Errorf("%q is not a fraction like 30000/1001 or a decimal like 0.25", s)
	}
	if a, b, ok := strings.Cut(s, "/"); ok {
		num, err1 := strconv.ParseInt(a, 10, 64)
		den, err2 := strconv.ParseInt(b, 10, 64)
		if err1 != nil || err2 != nil || den == 0 {
			return Rational{}, fmt.Errorf("%q is not a fraction like 30000/1001", s)
		}
		r := NewRational(num, den)
		if !r.Known() {
			return Rational{}, fmt.Errorf("%q does not fit 64 bits", s)
		}
		return r, nil
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		return Rational{}, fmt.Errorf("%q is not a fraction like 30000/1001 or a decimal like 0.25", s)
	}
	r := fromBig(x)
	if !r.Known() {
		return Rational{}, fmt.Errorf("%q does not fit 64 bits", s)
	}
	return r, nil
}

func fromBig(x *big.Rat) Rational {
	if !x.Num().IsInt64() || !x.Denom().IsInt64() {
		return Rational{}
	}
	return Rational{x.Num().Int64(), x.Denom().Int64()}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		return -a
	}
	return max(a, 1)
}
