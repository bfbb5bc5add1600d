//go:build goredis8

package main

import (
	"context"

	"github.com/go-redis/redis/v8"
)

// What the program needs of go-redis v8.
type (
	options     = redis.Options
	client      = redis.Client
	pipeliner   = redis.Pipeliner
	transaction = redis.Tx
	groupArgs   = redis.XReadGroupArgs
	addArgs     = redis.XAddArgs
	claimArgs   = redis.XClaimArgs
)

var (
	newClient = redis.NewClient
	newScript = redis.NewScript
)

const (
	version  = "go-redis v8"
	none     = redis.Nil
	txFailed = redis.TxFailedErr
)

func setProtocol(*options, bool) {}

func zadd(ctx context.Context, c *client, key string, score float64, member string) error {
	return c.ZAdd(ctx, key, &redis.Z{Score: score, Member: member}).Err()
}
