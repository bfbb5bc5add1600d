package integration

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"
)

// What was popped for a client while the backend of its node hangs is not known there when its time is up. It must not be told that
// there was nothing.
func TestBlockingTimeoutWhileTheBackendHangs(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	node := survivors(c, leader)[0]
	db := client(t, leader, 0)
	check(t, db.XGroupCreateMkStream(within(t, 40*time.Second), "stream", "group", "$").Err())
	commands := [][]string{
		{"BRPOP", "list", "2"}, {"BLMOVE", "other", "moved", "LEFT", "LEFT", "2"},
		{"XREADGROUP", "GROUP", "group", "me", "BLOCK", "2000", "STREAMS", "stream", ">"},
	}
	replies := make(chan []byte, len(commands))
	for _, command := range commands {
		conn := dialRaw(t, node.Addr(), 2)
		go func() {
			reply, err := conn.do(command)
			if err != nil {
				reply = []byte(err.Error())
			}
			replies <- reply
		}()
	}
	awaitBlocked(t, node, len(commands))
	check(t, node.Backend.Pause())
	resume := func() { check(t, node.Backend.Resume()) }
	defer resume()
	ctx := within(t, 40*time.Second)
	check(t, db.LPush(ctx, "list", "a").Err())
	check(t, db.LPush(ctx, "other", "b").Err())
	check(t, db.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []any{"f", "v"}}).Err())
	for range commands {
		if reply := <-replies; !bytes.HasPrefix(reply, []byte("-UNKNOWNOUTCOME")) {
			t.Errorf("a client that was served is told %q", reply)
		}
	}
}
