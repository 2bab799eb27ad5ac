package simulation

import (
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

// fault is what befalls one request to the store.
type fault struct {
	there, back time.Duration // the request's way, and the reply's
	kind        string        // "" for none
	err         error         // the reply, whatever happened
	never       bool          // it does nothing
	late        time.Duration // it takes effect so long after the reply
	again       time.Duration // it takes effect once more, so long afterwards
	second      bool          // the reply is that of the second time
	half        bool          // half of the bytes are stored, or come
}

var errNetwork = errors.New("the connection was reset")

// fault draws the fate of a request. From world.calm on nothing fails.
func (w *world) fault(who, op, object string) fault {
	d := w.dice(who, op, object)
	f := fault{there: d.lasting(time.Millisecond, 15*time.Millisecond), back: d.lasting(time.Millisecond, 15*time.Millisecond)}
	if w.isCalm() {
		return f
	}
	if d.hit(0.03) {
		f.kind, f.there = "slow", d.lasting(time.Second, 20*time.Second)
	}
	lost := &store.Error{Op: op, Key: object, Err: errNetwork}
	if op == "create" {
		lost.Kind = store.ErrUnknown
	}
	if w.outage(who) {
		f.kind, f.never, f.err = "outage", true, lost
		return f
	}
	if !d.hit(w.plan.faults) {
		return f
	}
	w.draw(d, op, object, &f, lost)
	return f
}

// draw makes a fault of the kinds that an operation can have.
func (w *world) draw(d *dice, op, object string, f *fault, lost *store.Error) {
	writes := op == "create" || op == "put" || op == "delete"
	switch k := d.below(8); {
	case k == 0:
		f.kind, f.never, f.err = "unsent", true, lost
	case k == 1:
		f.kind, f.err = "reply-lost", lost
	case k == 2 && writes:
		f.kind, f.err, f.late = "late", lost, d.lasting(time.Millisecond, 40*time.Second)
	case k == 3 && op == "create":
		f.kind, f.again, f.second = "twice-412", d.lasting(1, time.Second), true
	case k == 3 && writes:
		f.kind, f.again = "twice", d.lasting(1, 30*time.Second)
	case k == 4 && op == "create":
		f.kind, f.never, f.err = "409", true, &store.Error{Op: op, Key: object, Kind: store.ErrConflict}
	case k == 4 && op == "put" && strings.HasPrefix(object, "data/"):
		f.kind, f.half = "half-stored", true
	case k == 5 && (op == "get" || op == "list"):
		f.kind, f.half = "half-read", true
	case k == 5 && d.hit(0.3):
		f.kind, f.never, f.err = "403", true, &store.Error{Op: op, Key: object, Kind: store.ErrDenied}
	case k == 6 && op == "create":
		f.kind, f.err, f.late = "late", lost, d.lasting(time.Second, 90*time.Second)
	default:
		f.kind, f.never = "503", true
		f.err = &store.Error{Op: op, Key: object, Err: errors.New("503 Slow Down")}
		if op == "create" {
			f.err = &store.Error{Op: op, Key: object, Kind: store.ErrUnknown, Err: errors.New("503 Slow Down")}
		}
	}
}

// outage reports whether the store is out of a writer's reach.
func (w *world) outage(who string) bool {
	now := time.Since(w.trace.began)
	for _, o := range w.plan.outages {
		if now >= o.from && now < o.to && (o.slot == "" || strings.HasPrefix(who, o.slot+"-")) {
			return true
		}
	}
	return false
}
