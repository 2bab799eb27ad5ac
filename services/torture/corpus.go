package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/pipeline/audit"
)

// dataset is the one that there is a recipe for.
const dataset = "torture"

// recipe makes small shards often.
const recipe = `dataset: torture
video: {pick: {uniform: 2}}
keep: {frame: jpeg, quality: 60}
outputs: [{format: webdataset, shard_bytes: 64KiB, shard_samples: 24, shard_age: 800ms}]
`

// message is what is produced, and what is to become of it.
type message struct {
	n       int // unique; stands in the header numberHeader
	key     []byte
	value   []byte
	headers []kafka.Header
	id      string
	dataset string
	want    audit.Want
	samples int64
	code    string
}

// numberHeader tells messages apart when they are read back. Millrace does not know it.
const numberHeader = "torture-number"

// corpus makes messages: tiny real media, some broken, some repeated, some no media at
// all. The same seed makes the same.
type corpus struct {
	rng    *rand.Rand
	name   string // begins all ids: two corpora of one dataset must not share any
	videos [][]byte
	made   int
}

// newCorpus makes the videos, by ffmpeg.
func newCorpus(ctx context.Context, name string, rng *rand.Rand, dir string) (*corpus, error) {
	c := &corpus{rng: rng, name: name}
	for i, size := range []string{"64x48", "48x64", "32x32"} {
		name := filepath.Join(dir, fmt.Sprintf("video-%d.mp4", i))
		out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=r=10:d=0.6:s="+size,
			"-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "3", name).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("making a video: %w\n%s", err, out)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c.videos = append(c.videos, b)
	}
	return c, nil
}

// next makes a message. before are those of the same partition so far, for repeats.
func (c *corpus) next(before []*message) *message {
	c.made++
	m := &message{n: c.made, id: fmt.Sprintf("%s-%07d", c.name, c.made), dataset: dataset, want: audit.Samples, samples: 1}
	m.key = []byte(m.id)
	switch k := c.rng.IntN(100); {
	case k < 50:
		m.media("image/png", c.still(false))
	case k < 72:
		m.job(c.still(true))
	case k < 76:
		m.samples = 2
		m.media("video/mp4", c.videos[c.rng.IntN(len(c.videos))])
	case k < 84:
		c.broken(m)
	case k < 93 && len(before) > 0:
		m.repeat(before[len(before)-1-c.rng.IntN(min(len(before), 500))])
	case k < 95:
		m.refused("msg.empty") // a tombstone
		m.id, m.dataset = "", ""
	case k < 98:
		m.refused("msg.invalid")
		m.id, m.dataset, m.value = "", "", []byte(`{"media": [{"data": "cut off`)
		m.headers = []kafka.Header{{Key: "content-type", Value: []byte("application/json")}}
	case k < 99:
		m.refused("msg.no-recipe")
		m.dataset = "unheard-of"
		m.media("image/png", c.still(false))
	default:
		m.media("image/png", c.still(false))
	}
	m.headers = append(m.headers, kafka.Header{Key: numberHeader, Value: fmt.Append(nil, m.n)})
	return m
}

func (m *message) refused(code string) { m.want, m.samples, m.code = audit.Refused, 0, code }

// media makes the value the bytes themselves.
func (m *message) media(typ string, b []byte) {
	m.value = b
	for _, h := range [][2]string{{"content-type", typ}, {"dataset", m.dataset}, {"id", m.id}} {
		m.headers = append(m.headers, kafka.Header{Key: h[0], Value: []byte(h[1])})
	}
}

// job wraps the bytes in a job.
func (m *message) job(b []byte) {
	m.value = fmt.Appendf(nil, `{"id": %q, "dataset": %q, "media": [{"data": %q}], "meta": {"n": %d}}`, m.id, m.dataset, base64.StdEncoding.EncodeToString(b), m.n)
	m.headers = []kafka.Header{{Key: "content-type", Value: []byte("application/json")}}
}

// broken are media that no decoder takes.
func (c *corpus) broken(m *message) {
	m.refused("")
	switch c.rng.IntN(3) {
	case 0:
		b := c.still(false)
		m.media("image/png", b[:len(b)/2])
	case 1:
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(c.rng.Uint32())
		}
		m.media("image/jpeg", b)
	default:
		b := c.videos[c.rng.IntN(len(c.videos))]
		m.media("video/mp4", b[:len(b)/2]) // its index stands at the end
	}
}

// repeat makes the message another's twin: same id, same bytes.
func (m *message) repeat(o *message) {
	m.key, m.value, m.id, m.dataset = o.key, o.value, o.id, o.dataset
	m.want, m.samples, m.code = o.want, o.samples, o.code
	for _, h := range o.headers {
		if h.Key != numberHeader {
			m.headers = append(m.headers, h)
		}
	}
}

// still is a small picture unlike all others.
func (c *corpus) still(lossy bool) []byte {
	w, h := 8+c.rng.IntN(40), 8+c.rng.IntN(40)
	p := image.NewNRGBA(image.Rect(0, 0, w, h))
	r, g, b := c.rng.IntN(256), c.rng.IntN(256), c.rng.IntN(256)
	for y := range h {
		for x := range w {
			p.SetNRGBA(x, y, color.NRGBA{uint8(r + 3*x), uint8(g + 5*y), uint8(b + x*y), 255}) //nolint:gosec // wraps on purpose
		}
	}
	binary.BigEndian.PutUint32(p.Pix, uint32(c.made)) //nolint:gosec // the same
	p.Pix[3] = 255
	var out bytes.Buffer
	if lossy {
		_ = jpeg.Encode(&out, p, nil) // memory does not fail
	} else {
		_ = png.Encode(&out, p)
	}
	return out.Bytes()
}
