//go:build !race

package patch

const thin = 0
