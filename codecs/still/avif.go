package still

import "github.com/millrace/millrace/codecs"

type avifHeader struct{ header }

func headAVIF(m *media, l codecs.Limits) (avifHeader, error) {
	return avifHeader{}, m.unsupported("not yet")
}

func decodeAVIF(m *media, h avifHeader, l codecs.Limits) (picture, error) {
	return picture{}, m.unsupported("not yet")
}
