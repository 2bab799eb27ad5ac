package simulation

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Timeouts of the group, as the real one's.
const (
	heartbeat = 3 * time.Second
	session   = 15 * time.Second
	rebalance = 30 * time.Second
)

// group is the broker's side of a consumer group: who is a member, in which generation
// who has which partition, and what was said to be done. The world's lock guards it.
type group struct {
	w          *world
	generation int32
	seats      map[string]*seat
	owners     []string // by partition
	sharing    bool     // a new generation is being formed
	round      int
	split      bool          // the next generation gives one partition to two members
	advised    map[int]int64 // by partition; nobody may rely on it
}

// seat is a member, as the broker sees it.
type seat struct {
	name       string
	generation int32
	joined     chan given // while it waits for the next generation
	expiry     *time.Timer
}

// given is a member's part in a generation.
type given struct {
	generation int32
	partitions []int
}

func newGroup(w *world) *group {
	return &group{w: w, seats: map[string]*seat{}, owners: make([]string, len(w.partitions)), advised: map[int]int64{}}
}

// join seats a member and has it wait for the next generation.
func (g *group) join(name string) <-chan given {
	s := g.seats[name]
	if s == nil {
		s = &seat{name: name}
		g.seats[name] = s
	}
	s.joined = make(chan given, 1)
	g.alive(s)
	if !g.sharing {
		g.share("join " + name)
	}
	for _, s := range g.seats {
		if s.joined == nil {
			return g.seats[name].joined
		}
	}
	round := g.round
	d := g.w.seed.at(name, "formed", "", g.round)
	time.AfterFunc(d.lasting(50*time.Millisecond, 500*time.Millisecond), func() { g.form(round) })
	return s.joined
}

// alive puts a member's expiry off.
func (g *group) alive(s *seat) {
	if s.expiry == nil {
		s.expiry = time.AfterFunc(session+g.w.seed.at(s.name, "expiry", "", 0).lasting(0, time.Millisecond), func() { g.expire(s) })
		return
	}
	s.expiry.Reset(session + g.w.seed.at(s.name, "expiry", "", int(time.Since(g.w.trace.began))).lasting(0, time.Millisecond))
}

func (g *group) expire(s *seat) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if g.seats[s.name] != s {
		return
	}
	if g.sharing && s.joined != nil { // it waits for the others, and owes no heartbeat
		g.alive(s)
		return
	}
	delete(g.seats, s.name)
	g.w.trace.add("group", "expire", s.name, "")
	g.share("expired " + s.name)
}

// leave takes a member out.
func (g *group) leave(name string) {
	if s := g.seats[name]; s != nil {
		s.expiry.Stop()
		delete(g.seats, name)
		g.share("left " + name)
	}
}

// share begins a new generation: every member must join again, or is out.
func (g *group) share(why string) {
	if g.sharing || len(g.seats) == 0 {
		return
	}
	g.sharing = true
	g.round++
	g.w.trace.add("group", "rebalance", why, "")
	round := g.round
	d := g.w.seed.at("group", "share", "", round)
	time.AfterFunc(rebalance+d.lasting(0, time.Second), func() { g.form(round) })
}

// form begins the generation with those who have joined.
func (g *group) form(round int) {
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if !g.sharing || g.round != round {
		return
	}
	var members []string
	for _, name := range slices.Sorted(maps.Keys(g.seats)) {
		s := g.seats[name]
		if s.joined == nil {
			s.expiry.Stop()
			delete(g.seats, name)
			continue
		}
		members = append(members, name)
	}
	g.sharing = false
	if len(members) == 0 {
		return
	}
	g.generation++
	g.assign(members)
	for _, name := range members {
		s := g.seats[name]
		s.generation = g.generation
		g.alive(s)
		s.joined <- given{g.generation, g.of(name)}
		s.joined = nil
	}
	g.w.trace.add("group", "generation", pad(int(g.generation)), "formed")
	g.w.result.Generations++
}

// assign leaves partitions where they are as far as that is even.
func (g *group) assign(members []string) {
	most := (len(g.owners) + len(members) - 1) / len(members)
	has := map[string]int{}
	var free []int
	for p, o := range g.owners {
		if slices.Contains(members, o) && has[o] < most {
			has[o]++
		} else {
			free = append(free, p)
		}
	}
	for _, p := range free {
		least := slices.MinFunc(members, func(a, b string) int { return cmp.Or(cmp.Compare(has[a], has[b]), cmp.Compare(a, b)) })
		g.owners[p] = least
		has[least]++
		g.w.result.Takeovers++
	}
}

// of gives a member's partitions, and, where a broken balancer is played, one of another's.
func (g *group) of(name string) []int {
	var ps []int
	for p, o := range g.owners {
		if o == name {
			ps = append(ps, p)
		}
	}
	if other := slices.IndexFunc(g.owners, func(o string) bool { return o != name }); g.split && other >= 0 {
		g.split = false
		ps = append(ps, other)
	}
	return ps
}

// beat is a heartbeat: false if the member must join again.
func (g *group) beat(name string, generation int32) bool {
	s := g.seats[name]
	if s == nil || s.generation != generation {
		return false
	}
	g.alive(s)
	return !g.sharing
}
