package video

// parseH264 reads NAL unit headers (ITU-T H.264, 7.3.1) and recovery points. A packet
// is spare only if nal_ref_idc is 0 in all of its units and none is a parameter set, which
// by the standard has another.
func parseH264(data []byte, size int) (unit, bool) {
	u := unit{spare: true}
	slices, known := 0, true
	whole := nals(data, size, func(nal []byte) {
		if nal[0]&0x60 != 0 {
			u.spare = false
		}
		switch nal[0] & 31 {
		case 1, 2, 3, 4:
			slices++
		case 5:
			slices++
			u.anchor = anchorClosed
		case 6:
			if u.anchor == anchorNone && recoversAtOnce(nal[1:]) {
				u.anchor = anchorOpen
			}
		case 7, 8, 13, 15:
			u.params, u.spare = true, false
		case 14, 20, 21: // scalable and multiview streams: several pictures a packet
			known = false
		}
	})
	return u, whole && known && slices > 0
}

// recoversAtOnce looks for a recovery point SEI (ITU-T H.264, D.1.8) that promises
// exact pictures from this one on: recovery_frame_cnt 0, exact_match_flag 1.
func recoversAtOnce(sei []byte) bool {
	for len(sei) >= 2 && sei[0] != 0x80 {
		kind, n := 0, 0
		for len(sei) > 0 && sei[0] == 0xff {
			kind, sei = kind+255, sei[1:]
		}
		if len(sei) == 0 {
			return false
		}
		kind, sei = kind+int(sei[0]), sei[1:]
		for len(sei) > 0 && sei[0] == 0xff {
			n, sei = n+255, sei[1:]
		}
		if len(sei) == 0 {
			return false
		}
		n, sei = n+int(sei[0]), sei[1:]
		if n > len(sei) {
			return false
		}
		if kind == 6 {
			// ue(v) 0 is the bit 1; then exact_match_flag.
			return n > 0 && sei[0]&0xc0 == 0xc0
		}
		sei = sei[n:]
	}
	return false
}

// parseHEVC reads NAL unit headers (ITU-T H.265, 7.3.1.2, types in table 7-1). A
// packet is spare if all its slices are sub-layer non-reference pictures.
func parseHEVC(data []byte, size int) (unit, bool) {
	u := unit{spare: true}
	slices, known := 0, true
	whole := nals(data, size, func(nal []byte) {
		if len(nal) < 2 || nal[1]&7 == 0 {
			known = false
			return
		}
		kind, layerID, tid := nal[0]>>1&63, nal[0]&1<<5|nal[1]>>3, nal[1]&7-1
		switch {
		case layerID > 0:
			known = false
		case kind < 32:
			slices++
			u.layer = max(u.layer, tid)
			u.spare = u.spare && kind <= 14 && kind%2 == 0
			u.leading = u.leading || kind == 8 || kind == 9
			switch kind {
			case 19, 20: // IDR
				u.anchor = anchorClosed
			case 21: // CRA
				u.anchor = anchorOpen
			case 16, 17, 18, 22, 23: // BLA: drops its RASL pictures; reserved
				known = false
			}
		case kind < 35:
			u.params, u.spare = true, false
		case kind == 36 || kind == 37: // end of sequence: what follows starts anew
			known = false
		}
	})
	return u, whole && known && slices > 0
}
