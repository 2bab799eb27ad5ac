package mill

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// budget is the time that a job may take of a child: a base, a share of how long its
// media last, and some for each picked frame that came, up to a cap. What a child says of its media it is believed, since a lie
// gains no more than the cap.
type budget struct {
	lim   Limits
	used  time.Duration // in which the parent waited for the child
	pace  pace
	picks uint64 // that came so far, of all media
	// began is what was used when the picks of the medium under way began to come.
	began time.Duration
}

// pace is how far a child is with its job: the payload of kindAlive.
type pace struct {
	media time.Duration // how long the media last that were opened so far, together
	// picks are those of the medium under way that came, of so many; 0 of 0 where it has
	// not begun.
	picks, of uint64
}

const paceSize = 24

func (p pace) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(p.media))
	b = binary.LittleEndian.AppendUint64(b, p.picks)
	return binary.LittleEndian.AppendUint64(b, p.of)
}

func parsePace(b []byte) (pace, error) {
	if len(b) != paceSize {
		return pace{}, fmt.Errorf("%w: a sign of life of %d bytes", errFrame, len(b))
	}
	p := pace{time.Duration(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
	if p.media < 0 || p.picks > p.of {
		return pace{}, fmt.Errorf("%w: a sign of life that can not be", errFrame)
	}
	return p, nil
}

// wall is what the job may take in all.
func (b *budget) wall() time.Duration {
	l := b.lim
	s := l.WallBase.Seconds() + b.pace.media.Seconds()*float64(l.WallFactor) + float64(b.picks)*l.WallFrame.Seconds()
	if s >= l.Wall.Seconds() {
		return l.Wall
	}
	return time.Duration(s * float64(time.Second))
}

// late is the fault of a job that took all of its time.
func (b *budget) late() *codecs.Error {
	if w := b.wall(); w < b.lim.Wall {
		return fault(pipeline.CodeTimeout, "the job took longer than %v, which is mill.wall_base, %d times the %v that its media last, and mill.wall_frame for each of %d picked frames",
			w.Round(time.Millisecond), b.lim.WallFactor, b.pace.media.Round(time.Millisecond), b.picks)
	}
	return fault(pipeline.CodeTimeout, "the job took longer than the %v of mill.max_wall", b.lim.Wall)
}

// judgeAfter is how long picks must have been coming before a job is judged by them, or
// a quarter of the cap where that is shorter.
const judgeAfter = time.Minute

// note takes in what the child says, and refuses a job that goes so slowly that it would
// take more than twice the cap: picks are taken to come as fast as they have so far.
func (b *budget) note(p pace) *codecs.Error {
	if p.picks == 0 || p.of != b.pace.of || p.picks < b.pace.picks {
		b.began, b.pace.picks = b.used, 0
	}
	b.picks += p.picks - b.pace.picks
	b.pace = p
	took := b.used - b.began
	if p.picks == 0 || took < min(judgeAfter, b.lim.Wall/4) {
		return nil
	}
	if all := took.Seconds() / float64(p.picks) * float64(p.of); b.began.Seconds()+all > 2*b.lim.Wall.Seconds() {
		return fault(pipeline.CodeLimitTime, "%d of %d picked frames took %v, so all would take some %.0f times the %v that a job may; raise mill.max_wall, or pick fewer frames",
			p.picks, p.of, took.Round(time.Second), all/b.lim.Wall.Seconds(), b.lim.Wall)
	}
	return nil
}
