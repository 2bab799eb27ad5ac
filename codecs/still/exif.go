package still

import (
	"bytes"
	"encoding/binary"
)

const orientationTag = 0x0112

// exifOrientation finds the orientation tag in the first directory of an EXIF
// block (a TIFF structure, with or without its "Exif\0\0" prefix). It returns 1..8,
// 1 also for a tag of another value such as 9, or 0 where the block has no such tag
// or is broken. It looks at nothing else, follows one offset and never looks back,
// so no loop in the block can hold it.
//
// Source: EXIF 2.32, section 4.6.2; TIFF 6.0, section 2.
func exifOrientation(block []byte) int {
	block = bytes.TrimPrefix(block, []byte("Exif\x00\x00"))
	if len(block) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(block[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(block[4:]))
	if at+2 > int64(len(block)) {
		return 0
	}
	dir := block[at:]
	n := int(order.Uint16(dir))
	dir = dir[2:]
	for ; n > 0 && len(dir) >= 12; n, dir = n-1, dir[12:] {
		if order.Uint16(dir) != orientationTag {
			continue
		}
		return orientationValue(order, dir[:12])
	}
	return 0
}

func orientationValue(order binary.ByteOrder, entry []byte) int {
	if order.Uint32(entry[4:]) != 1 {
		return 1
	}
	var v uint32
	switch order.Uint16(entry[2:]) {
	case 1: // BYTE
		v = uint32(entry[8])
	case 3: // SHORT, as the standard says
		v = uint32(order.Uint16(entry[8:]))
	case 4: // LONG, as some cameras write
		v = order.Uint32(entry[8:])
	}
	if v < 1 || v > 8 {
		return 1
	}
	return int(v)
}

// xmpOrientation finds tiff:Orientation in an XMP packet, as an attribute or as an
// element, the way Pillow does: by its first match of
//
//	tiff:Orientation(="|>)([0-9])
//
// It returns 1..8 (1 also for 0 and 9), or 0 where there is no match.
func xmpOrientation(packet []byte) int {
	name := []byte("tiff:Orientation")
	for {
		at := bytes.Index(packet, name)
		if at < 0 {
			return 0
		}
		packet = packet[at+len(name):]
		digit := byte(0)
		switch {
		case len(packet) > 2 && packet[0] == '=' && packet[1] == '"':
			digit = packet[2]
		case len(packet) > 1 && packet[0] == '>':
			digit = packet[1]
		}
		if digit >= '0' && digit <= '9' {
			if digit == '0' || digit == '9' {
				return 1
			}
			return int(digit - '0')
		}
	}
}

// fileOrientation settles what a file's blocks say: EXIF first, then XMP.
func fileOrientation(exif, xmp []byte) orientation {
	if v := exifOrientation(exif); v != 0 {
		return orientation{v, "exif"}
	}
	if v := xmpOrientation(xmp); v != 0 {
		return orientation{v, "xmp"}
	}
	return orientation{}
}
