package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// tally counts what the clients did.
type tally struct{ redis, mysql count }

func (t *tally) String() string { return fmt.Sprintf("Redis: %v.\nMariaDB: %v.", &t.redis, &t.mysql) }

// examples is how many errors are shown.
const examples = 3

// count is of the clients of one kind of cluster.
type count struct {
	done, failed, vanished atomic.Int64

	mu     sync.Mutex
	errors []string // the first ones
}

func (c *count) note(err error) {
	if err == nil {
		c.done.Add(1)
		return
	}
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) < examples {
		c.errors = append(c.errors, err.Error())
	}
}

func (c *count) String() string {
	text := fmt.Sprintf("%d operations done, %d failed, %d connections broken off", c.done.Load(), c.failed.Load(), c.vanished.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) > 0 {
		text += "; the first errors: " + strings.Join(c.errors, "; ")
	}
	return text
}
