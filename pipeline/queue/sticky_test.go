package queue

import (
	"fmt"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"
)

// TestStickyShares checks on random histories that every partition has one owner,
// that shares differ by one at most, and that nothing moves without need.
func TestStickyShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has := map[string][]int{}
		for generation := range rapid.IntRange(1, 6).Draw(t, "generations") {
			all := make([]int, rapid.IntRange(0, 20).Draw(t, "partitions"))
			var topic []kafka.Partition
			for i := range all {
				all[i] = i
				topic = append(topic, kafka.Partition{Topic: "t", ID: i}, kafka.Partition{Topic: "other", ID: i})
			}
			var members []kafka.GroupMember
			for i := range rapid.IntRange(1, 6).Draw(t, "members") {
				id := fmt.Sprint("m", i)
				s := newSticky("t")
				if has[id] != nil || rapid.Bool().Draw(t, "told") {
					s.own(int32(generation), has[id])
				}
				data, _ := s.UserData()
				members = append(members, kafka.GroupMember{ID: id, Topics: []string{"t"}, UserData: data})
			}
			got := newSticky("t").AssignGroups(members, topic)
			checkShares(t, got, members, all)
			checkMoves(t, got, has, all)
			has = map[string][]int{}
			for id, ts := range got {
				has[id] = ts["t"]
			}
		}
	})
}

func checkShares(t *rapid.T, got kafka.GroupMemberAssignments, members []kafka.GroupMember, all []int) {
	var given []int
	least, most := len(all), 0
	for _, m := range members {
		ps := got[m.ID]["t"]
		given = append(given, ps...)
		least, most = min(least, len(ps)), max(most, len(ps))
	}
	slices.Sort(given)
	if !slices.Equal(given, all) {
		t.Fatalf("given %v of %v", given, all)
	}
	if most-least > 1 {
		t.Fatalf("shares of %d to %d", least, most)
	}
}

// checkMoves: a member that was below its part keeps all that it had.
func checkMoves(t *rapid.T, got kafka.GroupMemberAssignments, had map[string][]int, all []int) {
	for id, ts := range got {
		for _, p := range had[id] {
			if p < len(all) && len(had[id]) <= len(all)/len(got) && !slices.Contains(ts["t"], p) {
				t.Fatalf("%s lost %d: had %v, has %v", id, p, had[id], ts["t"])
			}
		}
	}
}

func TestStickyYoungerClaimWins(t *testing.T) {
	old, young := newSticky("t"), newSticky("t")
	old.own(3, []int{0, 1})
	young.own(4, []int{1})
	a, _ := old.UserData()
	b, _ := young.UserData()
	got := share([]kafka.GroupMember{{ID: "a", UserData: a}, {ID: "b", UserData: b}}, []int{0, 1})
	if !slices.Equal(got["a"], []int{0}) || !slices.Equal(got["b"], []int{1}) {
		t.Fatalf("%v", got)
	}
}

func FuzzOwned(f *testing.F) {
	s := newSticky("t")
	s.own(7, []int{1, 2, 300})
	data, _ := s.UserData()
	f.Add(data)
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, ps := parseOwned(data)
		if 4*len(ps) > len(data) {
			t.Fatalf("%d partitions of %d bytes", len(ps), len(data))
		}
		got := share([]kafka.GroupMember{{ID: "a", UserData: data}, {ID: "b"}}, []int{0, 1, 2})
		if n := len(got["a"]) + len(got["b"]); n != 3 {
			t.Fatalf("%d of 3 partitions given", n)
		}
	})
}
