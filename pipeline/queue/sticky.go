package queue

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go"
)

// sticky shares partitions out evenly, and leaves each where it is as far as that
// allows: a partition that moves costs a new fence and the work under way.
//
// Members say what they own in the group protocol's user data, which kafka-go asks
// for at each join.
type sticky struct {
	topic string
	mu    sync.Mutex
	data  []byte
}

func newSticky(topic string) *sticky { return &sticky{topic: topic} }

// own notes what this member has in a generation.
func (s *sticky) own(generation int32, partitions []int) {
	b := binary.BigEndian.AppendUint32([]byte{stickyVersion}, uint32(generation))
	for _, p := range partitions {
		b = binary.BigEndian.AppendUint32(b, uint32(p))
	}
	s.mu.Lock()
	s.data = b
	s.mu.Unlock()
}

// stickyVersion begins the user data; then the generation and the partitions, four
// bytes each.
const stickyVersion = 1

// ProtocolName is what members agree on.
func (s *sticky) ProtocolName() string { return "millrace-sticky-1" }

// UserData says what this member owns.
func (s *sticky) UserData() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data, nil
}

// AssignGroups is called on the group's leader. Each partition goes to one member,
// and no member has two more than another.
func (s *sticky) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	var all []int
	for _, p := range partitions {
		if p.Topic == s.topic {
			all = append(all, p.ID)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	out := kafka.GroupMemberAssignments{}
	for id, ps := range share(members, all) {
		out[id] = map[string][]int{s.topic: ps}
	}
	return out
}

// share gives every member its claims up to its part, then the rest to those with
// the least.
func share(members []kafka.GroupMember, all []int) map[string][]int {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b kafka.GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	out := make(map[string][]int, len(members))
	for _, m := range members {
		out[m.ID] = nil
	}
	if len(members) == 0 {
		return out
	}
	part, extra := len(all)/len(members), len(all)%len(members)
	owner := claims(members)
	var free []int
	for _, p := range all {
		id, ok := owner[p]
		switch {
		case ok && len(out[id]) < part:
			out[id] = append(out[id], p)
		case ok && len(out[id]) == part && extra > 0: // one of the members with one more
			out[id] = append(out[id], p)
			extra--
		default:
			free = append(free, p)
		}
	}
	for _, p := range free {
		least := slices.MinFunc(members, func(a, b kafka.GroupMember) int { return cmp.Compare(len(out[a.ID]), len(out[b.ID])) })
		out[least.ID] = append(out[least.ID], p)
	}
	return out
}

// claims says who owned each partition last. Where two say so, the younger
// generation is right, then the member whose id comes first.
func claims(members []kafka.GroupMember) map[int]string {
	owner := map[int]string{}
	since := map[int]int32{}
	for _, m := range members {
		generation, ps := parseOwned(m.UserData)
		for _, p := range ps {
			if _, ok := owner[p]; !ok || generation > since[p] {
				owner[p], since[p] = m.ID, generation
			}
		}
	}
	return owner
}

// parseOwned reads a member's user data. What it does not understand counts as
// owning nothing.
func parseOwned(b []byte) (generation int32, partitions []int) {
	if len(b) < 5 || b[0] != stickyVersion || (len(b)-5)%4 != 0 {
		return 0, nil
	}
	generation = int32(binary.BigEndian.Uint32(b[1:]))
	for b = b[5:]; len(b) > 0; b = b[4:] {
		partitions = append(partitions, int(int32(binary.BigEndian.Uint32(b))))
	}
	return generation, partitions
}
