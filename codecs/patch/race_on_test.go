//go:build race

package patch

// thin is how many of the golden cases are left out, to one that is run: the race
// detector makes this arithmetic ten times slower, and there is no concurrency in it.
const thin = 9
