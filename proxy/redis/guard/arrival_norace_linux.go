//go:build !race

package guard

// received is for the race detector.
func received(uintptr) {}
