package simulation

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/pipeline/stream"
)

// plan is what a seed has in store.
type plan struct {
	partitions, messages int // messages of each partition
	faults               float64
	calm                 time.Duration // from then on nothing fails
	window               stream.Config
	mills                int // of a writer
	shardSamples         int64
	shardAge             time.Duration
	differ               bool // samples have bytes that differ each time
	slots                []slot
	outages              []outage
	acts                 []act
}

// slot is a machine on which a writer runs, and what befalls it.
type slot struct {
	name   string
	starts time.Duration
	blows  []blow
}

// blow is a crash, a stop, or an orderly end of a writer.
type blow struct {
	after time.Duration // of life
	kind  string        // "crash", "stop" or "drain"
	lasts time.Duration // until it goes on, or another takes its place
}

// outage takes the store out of reach: of one slot, or of all.
type outage struct {
	slot     string
	from, to time.Duration
}

// act is something that somebody else does.
type act struct {
	at   time.Duration
	kind string
}

func planOf(s seed) plan {
	d := s.at("plan", "", "", 0)
	p := plan{
		partitions: d.between(1, 3), faults: 0.03 + 0.17*float64(d.below(100))/100, calm: d.lasting(30*time.Second, 2*time.Minute),
		mills: d.between(1, 4), shardSamples: int64(d.between(1, 12)), shardAge: d.lasting(time.Second, 30*time.Second), differ: d.hit(0.3),
	}
	p.messages = d.between(10, 36) / p.partitions
	p.window = stream.Config{Window: d.between(1, 24), WindowBytes: 1 << 20}
	if d.hit(0.3) {
		p.window.Idle = d.lasting(time.Second, 10*time.Second)
	}
	writers := d.between(3, 5)
	for i := range writers {
		p.slots = append(p.slots, slotOf(d, i, p.calm))
	}
	for range d.below(3) {
		o := outage{from: d.lasting(0, p.calm)}
		if o.to = o.from + d.lasting(time.Second, 40*time.Second); d.hit(0.6) {
			o.slot = p.slots[d.below(writers)].name
		}
		p.outages = append(p.outages, o)
	}
	for _, k := range []struct {
		kind string
		most int
	}{{"rebalance", 3}, {"split", 2}, {"advise", 4}, {"sweep", 4}, {"publish", 3}} {
		for range d.below(k.most + 1) {
			p.acts = append(p.acts, act{d.lasting(time.Second, p.calm), k.kind})
		}
	}
	return p
}

func slotOf(d *dice, i int, calm time.Duration) slot {
	s := slot{name: "w" + strconv.Itoa(i), starts: d.lasting(0, 8*time.Second)}
	if d.hit(0.25) {
		s.starts = d.lasting(0, calm/2)
	}
	for at := s.starts; ; {
		b := blow{after: d.lasting(2*time.Second, 60*time.Second)}
		switch k := d.below(10); {
		case k < 5:
			b.kind, b.lasts = "crash", d.lasting(500*time.Millisecond, 20*time.Second)
		case k < 8:
			b.kind, b.lasts = "stop", d.lasting(time.Second, 70*time.Second)
		default:
			b.kind, b.lasts = "drain", d.lasting(500*time.Millisecond, 20*time.Second)
		}
		if at += b.after + b.lasts; at > calm {
			return s
		}
		s.blows = append(s.blows, b)
	}
}
