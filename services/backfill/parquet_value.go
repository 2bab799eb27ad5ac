package backfill

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// plainValue turns a value of a column into what JSON has for it: numbers stay exact,
// times and dates become RFC 3339, bytes that are no text become base64, and what is no
// number (NaN, infinity) null.
func plainValue(n parquet.Node, v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return plainList(n, v)
	case map[string]any:
		return plainGroup(n, v)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.Type() != reflect.TypeFor[*big.Float]() {
		if r.IsNil() { // the values of a map come as pointers
			return nil
		}
		return plainValue(n, r.Elem().Interface())
	}
	return plainLeaf(n, v)
}

func plainList(n parquet.Node, list []any) any {
	elem := n
	if !n.Leaf() && !n.Repeated() { // LIST: a group of a repeated group of the element
		if f := n.Fields(); len(f) == 1 && !f[0].Leaf() && len(f[0].Fields()) == 1 {
			elem = f[0].Fields()[0]
		}
	}
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = plainValue(elem, v)
	}
	return out
}

func plainGroup(n parquet.Node, m map[string]any) any {
	fields := map[string]parquet.Node{}
	if !n.Leaf() {
		for _, f := range n.Fields() {
			fields[f.Name()] = f
		}
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		f := fields[k]
		if f == nil {
			f = n // a MAP, whose values keep their physical type
		}
		out[k] = plainValue(f, v)
	}
	return out
}

func plainLeaf(n parquet.Node, v any) any {
	var l format.LogicalTypeValue
	if n.Leaf() {
		if t := n.Type().LogicalType(); t != nil {
			l = t.Value
		}
	}
	switch v := v.(type) {
	case int32:
		return plainInt(l, int64(v), int64(uint32(v)))
	case int64:
		if u, ok := l.(*format.IntType); ok && !u.IsSigned {
			return uint64(v)
		}
		return plainInt(l, v, v)
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case *big.Float:
		if d, ok := l.(*format.DecimalType); ok {
			return json.Number(v.Text('f', decimals(d)))
		}
		return json.Number(v.Text('g', -1))
	case deprecated.Int96: // Spark's and Impala's times: nanoseconds of a Julian day
		nanos := int64(v[0]) | int64(v[1])<<32
		return rfc3339(time.Unix((int64(v[2])-2440588)*86400, nanos), true)
	case string:
		return plainBytes(l, []byte(v))
	case []byte:
		return plainBytes(l, v)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Array && r.Type().Elem().Kind() == reflect.Uint8 {
		b := make([]byte, r.Len())
		reflect.Copy(reflect.ValueOf(b), r)
		return plainBytes(l, b)
	}
	return v
}

// decimals is a decimal's scale, within what the format allows.
func decimals(d *format.DecimalType) int { return int(min(max(d.Scale, 0), 76)) }

// plainInt gives what an integer stands for; unsigned is the same bits without a sign.
func plainInt(l format.LogicalTypeValue, v, unsigned int64) any {
	switch l := l.(type) {
	case *format.DateType:
		return time.Unix(v*86400, 0).UTC().Format(time.DateOnly)
	case *format.TimestampType:
		var t time.Time
		switch l.Unit.Value.(type) {
		case *format.MilliSeconds:
			t = time.UnixMilli(v)
		case *format.MicroSeconds:
			t = time.UnixMicro(v)
		default:
			t = time.Unix(0, v)
		}
		return rfc3339(t, l.IsAdjustedToUTC)
	case *format.DecimalType:
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals(l))), nil)
		return json.Number(new(big.Rat).SetFrac(big.NewInt(v), scale).FloatString(decimals(l)))
	case *format.IntType:
		if !l.IsSigned {
			return unsigned
		}
	}
	return v
}

func rfc3339(t time.Time, utc bool) string {
	if utc {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999999") // a local time of no known place
}

// plainBytes keeps text as it is. Old writers do not say which bytes are text, so the
// bytes themselves decide.
func plainBytes(l format.LogicalTypeValue, b []byte) any {
	if _, ok := l.(*format.UUIDType); ok && len(b) == 16 {
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}
