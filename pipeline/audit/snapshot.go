package audit

import (
	"encoding/json"
	"fmt"
)

// snapshot is a published version, as far as it matters here.
type snapshot struct {
	N        int64    `json:"n"`
	Previous string   `json:"previous"`
	Streams  []pinned `json:"streams"`
}

type pinned struct {
	Stream string `json:"stream"`
	Seq    int64  `json:"seq"`
	SHA256 string `json:"sha256"`
	Next   int64  `json:"next"`
}

// snapshots checks that published versions are a chain, go forward, and pin records that
// are there.
func (a *auditor) snapshots() error {
	keys, err := a.store.List(a.ctx, "_snap/")
	if err != nil {
		return err
	}
	previous := ""
	at := map[string]int64{}
	for i, key := range keys {
		a.report.Snapshots++
		data, err := a.read(key, maxTable)
		if err != nil {
			return err
		}
		var s snapshot
		err = json.Unmarshal(data, &s)
		if err != nil || key != fmt.Sprintf("_snap/%020d", i) || s.N != int64(i) || s.Previous != previous {
			a.unsound(key, "it is not number %d after a snapshot of SHA-256 %q (%v)", i, previous, err)
		}
		previous = hexSum(data)
		for _, p := range s.Streams {
			log := a.logs[p.Stream]
			if p.Seq < 0 || p.Seq >= int64(len(log)) || log[p.Seq] != (link{p.SHA256, p.Next}) {
				a.unsound(key, "it pins record %d of stream %s, SHA-256 %s, end %d; there is no such record", p.Seq, p.Stream, p.SHA256, p.Next)
			}
			if p.Seq < at[p.Stream] {
				a.unsound(key, "it pins record %d of stream %s; one before pins %d", p.Seq, p.Stream, at[p.Stream])
			}
			at[p.Stream] = p.Seq
		}
	}
	return nil
}

func (a *auditor) unsound(key, format string, args ...any) {
	a.report.add(&a.report.Wrong, 1, Violation{Kind: "snapshot", Seq: -1, Offset: -1, Key: key, Detail: fmt.Sprintf(format, args...)})
}
