package packing

import "fmt"

// Arrays tell the samples of one pack apart, as varlen attention kernels and trainers
// want to be told.
type Arrays struct {
	// CuSeqlens is [samples+1]: 0, then the running sum of the real lengths. For
	// self-attention it is both cu_seqlens_q and cu_seqlens_k of flash-attention.
	CuSeqlens []int32
	// CuSeqlensPadded is the same over the lengths rounded up to the multiple; sample k
	// starts at row CuSeqlensPadded[k]. With a multiple of 1 it equals CuSeqlens.
	// Kernels that know one array only must get this one; the gaps then attend too.
	CuSeqlensPadded []int32
	// MaxSeqlen is the longest real length.
	MaxSeqlen int32
	// PositionIDs is [rows]: from 0 at each start in CuSeqlensPadded, and once more from
	// 0 in the padding at the end, so that "a segment starts where the position is 0"
	// gives CuSeqlensPadded back, plus one segment for that padding.
	PositionIDs []int32
	// SegmentIDs is [rows]: 1, 2, ... for the samples, 0 for padding of either kind.
	SegmentIDs []int32
}

// NewArrays describes a pack of samples of these lengths, each rounded up to the
// multiple (1 for none). There are as many rows as the samples take, which is how packs
// are stored, or rows of them where that is more, which is what a trainer pads to.
func NewArrays(lengths []int, multiple, rows int) (Arrays, error) {
	if multiple < 1 || multiple > maxTokens {
		return Arrays{}, fmt.Errorf("packing: a multiple of %d is out of range; write 1 to %d", multiple, maxTokens)
	}
	a := Arrays{CuSeqlens: make([]int32, len(lengths)+1), CuSeqlensPadded: make([]int32, len(lengths)+1)}
	total, padded := 0, 0
	for k, n := range lengths {
		if n < 1 {
			return Arrays{}, fmt.Errorf("packing: sample %d of a pack has %d tokens; each must have 1 or more", k, n)
		}
		// Each length is bounded before it is rounded or added, so that nothing wraps.
		if n > maxTokens || roundUp(n, multiple) > maxTokens-padded {
			return Arrays{}, fmt.Errorf("packing: a pack of %d samples has more tokens than int32 can count", len(lengths))
		}
		total, padded = total+n, padded+roundUp(n, multiple)
		a.CuSeqlens[k+1], a.CuSeqlensPadded[k+1] = int32(total), int32(padded)
		a.MaxSeqlen = max(a.MaxSeqlen, int32(n))
	}
	if rows > maxTokens {
		return Arrays{}, fmt.Errorf("packing: %d rows are more than int32 can count", rows)
	}
	a.number(lengths, max(rows, padded))
	return a, nil
}

// number fills in the arrays that have an entry for each row.
func (a *Arrays) number(lengths []int, rows int) {
	a.PositionIDs, a.SegmentIDs = make([]int32, rows), make([]int32, rows)
	for k, n := range lengths {
		start, end := a.CuSeqlensPadded[k], a.CuSeqlensPadded[k+1]
		count(a.PositionIDs[start:end])
		for i := range n {
			a.SegmentIDs[int(start)+i] = int32(k + 1)
		}
	}
	count(a.PositionIDs[a.CuSeqlensPadded[len(lengths)]:])
}

// count numbers ids from 0.
func count(ids []int32) {
	for i := range ids {
		ids[i] = int32(i)
	}
}

// VisionSegments gives cu_seqlens for the vision tower of the Qwen-VL models, in which
// each time group attends to itself: for each grid (time groups, rows, columns of
// patches), one segment of rows*columns patches for each time group. The tower sees
// patches, so with a merge of 2 it counts four times what the language model does.
func VisionSegments(grids [][3]int) ([]int32, error) {
	segments, total := 1, 0
	for n, g := range grids {
		for _, side := range g {
			if side < 1 || side > maxTokens {
				return nil, fmt.Errorf("packing: grid %d is %v; each number must be 1 to %d", n, g, maxTokens)
			}
		}
		if g[1] > maxTokens/g[2] || g[0] > (maxTokens-total)/(g[1]*g[2]) {
			return nil, fmt.Errorf("packing: %d grids have more patches than int32 can count", len(grids))
		}
		segments, total = segments+g[0], total+g[0]*g[1]*g[2]
	}
	cu := make([]int32, 1, segments)
	for _, g := range grids {
		for range g[0] {
			cu = append(cu, cu[len(cu)-1]+int32(g[1]*g[2]))
		}
	}
	return cu, nil
}
