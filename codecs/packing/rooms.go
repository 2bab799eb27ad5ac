package packing

// rooms is the room left in each of n packs, opened or not, as a tree of maxima: the
// first pack with room for a sample is found in log n steps instead of a scan.
type rooms struct {
	leaves int   // a power of 2; pack i is node leaves+i, the parent of node k is k/2
	most   []int // by node: the largest room below it
}

// newRooms returns n empty packs. There are never more packs than samples, so with n
// samples of at most that capacity, one pack always has room.
func newRooms(n, capacity int) *rooms {
	leaves := 1
	for leaves < n {
		leaves *= 2
	}
	r := &rooms{leaves: leaves, most: make([]int, 2*leaves)}
	for k := range r.most {
		r.most[k] = capacity
	}
	return r
}

// first returns the first pack with room for that size, which there must be.
func (r *rooms) first(size int) int {
	k := 1
	for k < r.leaves {
		if k *= 2; r.most[k] < size {
			k++
		}
	}
	return k - r.leaves
}

// take uses up so much of pack i.
func (r *rooms) take(i, size int) { r.set(i, r.most[r.leaves+i]-size) }

// shut lets nothing more into pack i.
func (r *rooms) shut(i int) { r.set(i, 0) }

func (r *rooms) set(i, room int) {
	k := r.leaves + i
	for r.most[k] = room; k > 1; {
		k /= 2
		r.most[k] = max(r.most[2*k], r.most[2*k+1])
	}
}
