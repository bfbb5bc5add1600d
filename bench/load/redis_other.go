//go:build !linux

package load

import (
	"context"
	"errors"
	"time"
)

var errLinux = errors.New("the load generator needs Linux")

// Redis needs epoll.
func Redis(context.Context, string, Spec, time.Duration) (*Result, error) { return nil, errLinux }

// FillRedis needs epoll.
func FillRedis(context.Context, string, int, int) error { return errLinux }
