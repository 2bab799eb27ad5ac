package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/pipeline/shard"
)

// SampleReport is all there is to know of one sample.
type SampleReport struct {
	Key    string        `json:"key"`
	Shard  string        `json:"shard"` // its key
	Offset int64         `json:"offset"`
	Length int64         `json:"length"`
	Fields []SampleField `json:"fields"`
	// Description is the field json as it stands, or null.
	Description json.RawMessage `json:"description"`
	Text        string          `json:"text,omitempty"`
}

// SampleField is one field of a sample.
type SampleField struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	DType   string `json:"dtype,omitempty"`
	Shape   []int  `json:"shape,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Sample looks a sample up by its key, shard by shard.
func Sample(ctx context.Context, shards []Source, key string) (*SampleReport, error) {
	for i := range shards {
		var found *SampleReport
		err := shards[i].walk(ctx, func(r shard.Reader, e *shard.Entry) error {
			if e.Key != key {
				return ctx.Err()
			}
			var err error
			if found, err = sampleReport(r, e); err == nil {
				found.Shard = shards[i].Key
				err = errStop
			}
			return err
		})
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, fmt.Errorf("no sample has the key %q; inspect a shard to see its keys (%d shards were searched)", key, len(shards))
}

func sampleReport(r shard.Reader, e *shard.Entry) (*SampleReport, error) {
	s := &SampleReport{Key: e.Key, Offset: e.Offset, Length: e.Length, Description: json.RawMessage("null")}
	lim := shard.Limits{MaxSampleBytes: mostDescription}
	for i, f := range e.Fields {
		line := SampleField{Name: f.Name, Bytes: f.Size}
		switch {
		case isArray(f.Name):
			a, err := readArray(r.Open(i), f.Size)
			if err != nil {
				line.Problem = err.Error()
			}
			line.DType, line.Shape = a.dtype, a.shape
		case f.Name == "json":
			data, err := shard.ReadField(r, e, i, nil, lim)
			if err != nil {
				return nil, err
			}
			if json.Valid(data) {
				s.Description = bytes.Clone(data)
			} else {
				line.Problem = "not JSON"
			}
		case f.Name == "txt":
			data, err := shard.ReadField(r, e, i, nil, lim)
			if err != nil {
				return nil, err
			}
			s.Text = string(bytes.ToValidUTF8(data, []byte("\uFFFD")))
		}
		s.Fields = append(s.Fields, line)
	}
	return s, nil
}
