package still

import (
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
)

// avifHeader is what an AVIF's meta box says of its primary item.
type avifHeader struct {
	header
	pixels     []span // where the AV1 picture is
	alpha      []span // where its alpha is, a picture of its own; nil without
	multiplied bool   // colours are multiplied by alpha
	nclx       *nclx
}

// nclx is a colr box's coding of colour, by ISO/IEC 23091-2's numbers.
type nclx struct {
	matrix int
	full   bool
}

// span is a part of the file.
type span struct{ at, size int64 }

// headAVIF reads the meta box. FFmpeg 5.1's demuxer reads AVIF stills too, but
// neither their alpha nor their orientation, and it is much code for strangers'
// bytes to reach.
//
// Sources: ISO/IEC 14496-12 section 8.11, ISO/IEC 23008-12 section 6, AV1 Image
// File Format 1.1.
func headAVIF(m *media, l codecs.Limits) (avifHeader, error) {
	meta, err := m.metaBox(l)
	if err != nil {
		return avifHeader{}, err
	}
	items := avifItems{items: map[uint64]*avifItem{}}
	items.read(meta.body)
	if meta.body.bad || items.bad {
		return avifHeader{}, m.invalid(codecs.StageProbe, "its meta box is cut or contradicts itself")
	}
	primary := items.items[items.primary]
	if primary == nil {
		return avifHeader{}, m.unsupported("it has no primary item (an image sequence without a still)")
	}
	if primary.kind != "av01" {
		return avifHeader{}, m.unsupported("its primary item is of type %q; one AV1 picture is taken, not a grid of them", primary.kind)
	}
	h := avifHeader{header: header{container: AVIF, codec: "av1", frames: 1}}
	h.width, h.height = primary.width, primary.height
	if err := l.CheckSize(codecs.KindImage, h.width, h.height); err != nil {
		return avifHeader{}, err
	}
	h.orientation = orientation{primary.orientation(), "irot"}
	h.nclx = primary.nclx
	h.colour = avifColour(h.nclx)
	if h.pixels, err = m.extents(primary, meta, l); err != nil {
		return avifHeader{}, err
	}
	if a := items.alphaOf(items.primary); a != nil {
		h.multiplied = items.multiplied
		if h.alpha, err = m.extents(a, meta, l); err != nil {
			return avifHeader{}, err
		}
	}
	return h, nil
}

// metaBox is a file's meta box, and where in the file its idat box is.
type metaBox struct {
	body *boxReader
	idat span
}

// metaBox finds the file's meta box among the outermost boxes.
func (m *media) metaBox(l codecs.Limits) (metaBox, error) {
	used := metadata{max: l.MaxMetadata}
	for at := int64(0); at+8 <= m.Size(); {
		var head [16]byte
		if err := m.fill(head[:min(16, m.Size()-at)], at); err != nil {
			return metaBox{}, err
		}
		size, length := int64(binary.BigEndian.Uint32(head[:])), int64(8)
		switch size {
		case 0:
			size = m.Size() - at
		case 1:
			size, length = int64(binary.BigEndian.Uint64(head[8:])), 16
		}
		if size < length {
			return metaBox{}, m.invalid(codecs.StageProbe, "its box %q is shorter than its head", head[4:8])
		}
		if string(head[4:8]) == "meta" {
			return m.readMeta(span{at + length, size - length}, &used)
		}
		if err := used.add(AVIF, 16); err != nil {
			return metaBox{}, err
		}
		if size > m.Size()-at {
			break
		}
		at += size
	}
	return metaBox{}, codecs.Errorf(codecs.CodeTruncated, codecs.StageProbe, "the avif picture ends before its meta box")
}

func (m *media) readMeta(s span, used *metadata) (metaBox, error) {
	if err := used.add(AVIF, s.size); err != nil {
		return metaBox{}, err
	}
	if s.size > m.Size()-s.at {
		return metaBox{}, codecs.Errorf(codecs.CodeTruncated, codecs.StageProbe, "the avif picture ends inside its meta box")
	}
	b := make([]byte, s.size)
	if err := m.fill(b, s.at); err != nil {
		return metaBox{}, err
	}
	meta := metaBox{body: &boxReader{b: b}}
	meta.body.full()
	inner := boxReader{b: meta.body.b}
	for {
		name, body, ok := inner.next()
		if !ok {
			return meta, nil
		}
		if name == "idat" {
			end := s.size - int64(len(inner.b))
			meta.idat = span{s.at + end - int64(len(body.b)), int64(len(body.b))}
		}
	}
}

// extents places an item's bytes in the file.
func (m *media) extents(i *avifItem, meta metaBox, l codecs.Limits) ([]span, error) {
	var total int64
	out := make([]span, 0, len(i.extents))
	for _, e := range i.extents {
		within := span{0, m.Size()}
		if i.method == 1 {
			within = meta.idat
		}
		if e.size == 0 && len(i.extents) == 1 {
			e.size = within.size - e.at // to the end
		}
		if e.at < 0 || e.size < 0 || e.at > within.size || e.size > within.size-e.at {
			return nil, codecs.Errorf(codecs.CodeTruncated, codecs.StageProbe,
				"the avif picture ends early: its pixels are said to be at byte %d, %d bytes long, of %d", e.at, e.size, within.size)
		}
		total += e.size
		out = append(out, span{within.at + e.at, e.size})
	}
	switch {
	case i.method > 1:
		return nil, m.unsupported("its pixels are built from other items")
	case total == 0:
		return nil, codecs.Errorf(codecs.CodeNoFrames, codecs.StageProbe, "the avif picture holds no pixels")
	case total > roomFor(int64(i.width)*int64(i.height), l):
		return nil, m.invalid(codecs.StageProbe, "it has %d bytes of pixels, far more than its size can take", total)
	}
	return out, nil
}
