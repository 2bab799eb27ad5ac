package still

import "slices"

// avifItem is one item of a meta box.
type avifItem struct {
	kind          string // "av01", "grid", "Exif", ...
	method        int    // 0 file, 1 idat, 2 item
	extents       []span
	width, height int
	rotation      int // quarter turns anti-clockwise
	mirror        int // 0 none, 1 top-bottom, 2 left-right; after the rotation
	nclx          *nclx
	alpha         bool // an auxiliary picture of alpha
}

// avifItems is what a meta box says in all.
type avifItems struct {
	items      map[uint64]*avifItem
	primary    uint64
	properties []avifProperty
	auxiliary  [][2]uint64 // an auxiliary item, and its master
	multiplied bool
	bad        bool
}

// avifProperty is a property's box.
type avifProperty struct {
	name string
	body []byte
}

const alphaURN = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"

func (a *avifItems) read(meta *boxReader) {
	var association []*boxReader // after all properties
	for {
		name, body, ok := meta.next()
		if !ok {
			break
		}
		switch name {
		case "pitm":
			version, _ := body.full()
			a.primary = body.uint(idSize(version >= 1))
		case "iloc":
			a.locations(body)
		case "iinf":
			a.infos(body)
		case "iref":
			a.references(body)
		case "iprp":
			association = append(association, a.propertyBoxes(body)...)
		}
		a.bad = a.bad || body.bad
	}
	for _, b := range association {
		a.associate(b)
		a.bad = a.bad || b.bad
	}
}

func (a *avifItems) item(id uint64) *avifItem {
	if a.items[id] == nil {
		a.items[id] = &avifItem{}
	}
	return a.items[id]
}

// idSize is an item id's bytes.
func idSize(long bool) int {
	if long {
		return 4
	}
	return 2
}

func (a *avifItems) locations(b *boxReader) {
	version, _ := b.full()
	sizes := int(b.uint(2))
	offsetSize, lengthSize, baseSize, indexSize := sizes>>12, sizes>>8&15, sizes>>4&15, sizes&15
	if version == 0 {
		indexSize = 0
	}
	if max(offsetSize, lengthSize, baseSize, indexSize) > 8 {
		a.bad = true
		return
	}
	for n := b.uint(idSize(version >= 2)); n > 0 && !b.bad; n-- {
		i := a.item(b.uint(idSize(version >= 2)))
		if version > 0 {
			i.method = int(b.uint(2) & 15)
		}
		b.uint(2) // data reference
		base := b.uint(baseSize)
		for e := b.uint(2); e > 0 && !b.bad; e-- {
			b.uint(indexSize)
			at := base + b.uint(offsetSize)
			i.extents = append(i.extents, span{int64(at), int64(b.uint(lengthSize))})
		}
	}
}

func (a *avifItems) infos(b *boxReader) {
	version, _ := b.full()
	b.uint(idSize(version >= 1)) // count: there are as many as there are boxes
	for {
		name, info, ok := b.next()
		if !ok {
			return
		}
		version, _ := info.full()
		if name != "infe" || version < 2 {
			continue
		}
		i := a.item(info.uint(idSize(version >= 3)))
		info.uint(2) // protection
		i.kind = string(info.bytes(4))
		a.bad = a.bad || info.bad
	}
}

func (a *avifItems) references(b *boxReader) {
	version, _ := b.full()
	for {
		name, ref, ok := b.next()
		if !ok {
			return
		}
		from := ref.uint(idSize(version >= 1))
		for n := ref.uint(2); n > 0 && !ref.bad; n-- {
			to := ref.uint(idSize(version >= 1))
			switch name {
			case "auxl":
				a.auxiliary = append(a.auxiliary, [2]uint64{from, to})
			case "prem":
				a.multiplied = a.multiplied || from == a.primary
			}
		}
		a.bad = a.bad || ref.bad
	}
}

// propertyBoxes keeps the properties and returns what associates them with items.
func (a *avifItems) propertyBoxes(b *boxReader) (association []*boxReader) {
	for {
		name, body, ok := b.next()
		if !ok {
			return association
		}
		switch name {
		case "ipco":
			for {
				name, p, ok := body.next()
				if !ok {
					break
				}
				a.properties = append(a.properties, avifProperty{name, p.b})
			}
		case "ipma":
			association = append(association, body)
		}
	}
}

func (a *avifItems) associate(b *boxReader) {
	version, flags := b.full()
	for n := b.uint(4); n > 0 && !b.bad; n-- {
		i := a.item(b.uint(idSize(version >= 1)))
		for k := b.uint(1); k > 0 && !b.bad; k-- {
			index := int(b.uint(1) & 0x7F)
			if flags&1 != 0 {
				index = index<<8 | int(b.uint(1))
			}
			if index >= 1 && index <= len(a.properties) {
				i.set(a.properties[index-1])
			}
		}
	}
}

// set applies a property to an item. A property that is cut stays without effect.
func (i *avifItem) set(p avifProperty) {
	r := boxReader{b: p.body}
	switch p.name {
	case "ispe":
		r.full()
		i.width, i.height = int(r.uint(4)), int(r.uint(4))
	case "irot":
		i.rotation = int(r.uint(1) & 3)
	case "imir":
		i.mirror = 1 + int(r.uint(1)&1)
	case "auxC":
		r.full()
		i.alpha = string(r.bytes(min(len(alphaURN), len(r.b)))) == alphaURN
	case "colr":
		if string(r.bytes(4)) == "nclx" {
			r.uint(4) // primaries and transfer: Pillow and we leave them as they are
			i.nclx = &nclx{matrix: int(r.uint(2)), full: r.uint(1)&0x80 != 0}
		}
	}
}

// orientation is rotation and mirror as an EXIF orientation.
func (i *avifItem) orientation() int {
	return [4][3]int{{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}}[i.rotation][i.mirror]
}

// alphaOf is the AV1 item that holds another's alpha, or nil.
func (a *avifItems) alphaOf(master uint64) *avifItem {
	at := slices.IndexFunc(a.auxiliary, func(x [2]uint64) bool {
		i := a.items[x[0]]
		return x[1] == master && i != nil && i.alpha && i.kind == "av01"
	})
	if at < 0 {
		return nil
	}
	return a.items[a.auxiliary[at][0]]
}
