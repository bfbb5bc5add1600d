//go:build !linux

package slack

import "time"

// Allow does nothing: there is no such setting.
func Allow(time.Duration) {}
