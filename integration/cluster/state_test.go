package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"
)

func startRedis(t *testing.T, name string) *Redis {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRedis(name, filepath.Join(t.TempDir(), name), port)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.StartReady(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func read(t *testing.T, r *Redis) State {
	t.Helper()
	state, err := ReadState(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestStateTellsEqualFromDifferent(t *testing.T) {
	a, b := startRedis(t, "a"), startRedis(t, "b")
	do := func(r *Redis, db int, args ...any) {
		t.Helper()
		c := r.Client(db)
		defer c.Close()
		if err := c.Do(t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	for _, r := range []*Redis{a, b} {
		do(r, 0, "SET", "s", "1")
		do(r, 1, "SET", "s", "2", "PXAT", 4102444800000)
		do(r, 2, "RPUSH", "l", "a", "b")
		do(r, 2, "HSET", "h", "f", "1", "g", "2")
		do(r, 2, "ZADD", "z", "1", "a", "2", "b")
		do(r, 2, "XADD", "x", "1-1", "f", "v")
	}
	do(a, 15, "SADD", "set", "a", "b", "c")
	do(b, 15, "SADD", "set", "c", "b", "a")
	do(b, MetadataDB, "SET", "own", "books")
	if diff := read(t, a).Diff(read(t, b)); diff != "" {
		t.Errorf("equal servers differ:\n%s", diff)
	}
	if got := read(t, a); got.Digest() != read(t, b).Digest() || len(got) != 7 {
		t.Errorf("digests differ, or not 7 keys: %v", got)
	}
	for _, change := range [][]any{
		{"SET", "s", "3"}, {"PEXPIREAT", "s", "4102444800001"}, {"SADD", "new", "d"}, {"DEL", "s"},
	} {
		before := read(t, b)
		do(b, 1, change...)
		after := read(t, b)
		if diff := before.Diff(after); diff == "" || before.Digest() == after.Digest() {
			t.Errorf("%v is not seen", change)
		} else if !strings.Contains(diff, "1/") {
			t.Errorf("%v: diff does not name the key: %s", change, diff)
		}
	}
}
