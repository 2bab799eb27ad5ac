package mel

// How many tokens a language model puts in place of a stretch of sound. frames is
// [Features.Sound], at least 0.

// TokensQwen2Audio counts Qwen2-Audio's tokens, of padded features: 750 for 30 s. Two
// frames or fewer give none.
func TokensQwen2Audio(frames int) int {
	return floorHalf(floorHalf(frames-1)+1-2) + 1
}

// TokensQwen25Omni counts Qwen2.5-Omni's tokens, of padded features. They are those of
// [TokensQwen2Audio].
func TokensQwen25Omni(frames int) int { return TokensQwen2Audio(frames) }

// TokensQwen3Omni counts Qwen3-Omni's tokens, of features without padding: 13 for each
// whole second, which is 100 frames.
func TokensQwen3Omni(frames int) int {
	r := floorHalf(frames%100-1) + 1
	return floorHalf(floorHalf(r-1)+1-1) + 1 + frames/100*13
}

// floorHalf is n/2, rounded down for negative numbers too.
func floorHalf(n int) int { return n >> 1 }
