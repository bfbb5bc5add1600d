package redis

import "sync"

// changes takes the changes of the position out of those that a backend counts.
type changes struct {
	mu sync.Mutex
	// lost are those of the position that the backend does not count any more, since it was started again or has saved.
	lost int64
}

// ofClients returns the changes without those of the position. What it returns is right as a difference: it begins at 0
// whenever the backend has begun to count again.
func (c *changes) ofClients(counted, marker int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if counted < marker-c.lost {
		c.lost = marker - counted
	}
	return counted - (marker - c.lost)
}
