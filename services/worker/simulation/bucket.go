package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

// bucket is the object store itself: strict, and consistent as S3 is. A create is
// exclusive; a read sees all that was done before; what is stored is what is told.
// The world's lock guards it.
type bucket struct {
	objects map[string]stored
	alias   map[string]string   // names of objects that do not depend on made-up ids
	twins   map[string][]string // the objects of such a name
	writes  int
}

type stored struct {
	data []byte // never changed
	info store.Info
}

//nolint:gochecknoglobals // a constant table
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newBucket() *bucket {
	return &bucket{objects: map[string]stored{}, alias: map[string]string{}, twins: map[string][]string{}}
}

func (b *bucket) put(key string, data []byte) {
	b.writes++
	sum := sha256.Sum256(data)
	b.objects[key] = stored{data, store.Info{
		Key: key, Size: int64(len(data)), ETag: strconv.Itoa(b.writes), Modified: time.Now(),
		SHA256: sum[:], CRC32C: binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)),
	}}
}

// create stores data if there is no such object.
func (b *bucket) create(key string, data []byte) bool {
	if _, ok := b.objects[key]; ok {
		return false
	}
	b.put(key, data)
	return true
}

func (b *bucket) list(prefix, after string) []store.Info {
	var infos []store.Info
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			info := b.objects[key].info
			info.SHA256, info.CRC32C = nil, nil
			infos = append(infos, info)
		}
	}
	return infos
}

// name notes an object's name in traces, and in what faults follow from: of a shard its
// epoch and a digest of its content, since its id is made up. content is nil for calls that
// do not bring it. It returns the name but for the number that named adds.
func (b *bucket) name(key string, content []byte) string {
	if name, known := b.alias[key]; known {
		return name
	}
	if !strings.HasPrefix(key, "data/") {
		return key
	}
	at := strings.LastIndexByte(key, '/') + 1
	if content == nil {
		return key[:at] + "?"
	}
	sum := sha256.Sum256(content)
	_, ext, _ := strings.Cut(key[at:], ".")
	name := key[:at] + hex.EncodeToString(sum[:6]) + "." + ext
	b.alias[key] = name
	b.twins[name] = append(b.twins[name], key)
	return name
}

// named gives that name. Of objects of equal content in one epoch, each has a number, in
// the order in which their writer made up their ids.
func (b *bucket) named(key string) string {
	name := b.name(key, nil)
	n := 0
	for _, twin := range b.twins[name] {
		if twin < key {
			n++
		}
	}
	if n > 0 {
		name += "#" + strconv.Itoa(n)
	}
	return name
}

// last gives a stream's last record, or nil.
func (b *bucket) last(path string) []byte {
	var data []byte
	for seq := 0; ; seq++ {
		o, ok := b.objects["_log/"+path+"/"+pad(seq)]
		if !ok {
			return data
		}
		data = o.data
	}
}

func pad(n int) string {
	text := strconv.Itoa(n)
	return strings.Repeat("0", 20-len(text)) + text
}

// short is data cut in half, as a proxy may pass it on and say that all went well.
func short(data []byte) []byte { return bytes.Clone(data[:len(data)/2]) }
