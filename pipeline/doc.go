// Package pipeline holds Millrace's words (Job, Recipe, Sample, Delivery, Verdict)
// and the straight line that turns one job's bytes into samples:
//
//	probe -> decode -> pick -> patchify -> emit
//
// The line runs inside a mill, a child process; what surrounds it (taking,
// fetching, packing, committing) is in the packages below this one. ARCHITECTURE.md
// draws the whole.
package pipeline
