package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-redis/redis/v8"
)

// MetadataDB is the database in which a node keeps its books in the backend.
const MetadataDB = 13

// State is everything a backend holds outside the metadata database: for each "db/key" a text of its type, deadline
// and value that is equal on two servers exactly if the key is.
type State map[string]string

// ReadState reads the whole backend. It is not atomic: let writes come to rest first.
func ReadState(ctx context.Context, r *Redis) (State, error) {
	state := make(State)
	for db := range 16 {
		if db == MetadataDB {
			continue
		}
		if err := readDB(ctx, r, db, state); err != nil {
			return nil, fmt.Errorf("read db %d of %s: %w", db, r.Name, err)
		}
	}
	return state, nil
}

func readDB(ctx context.Context, r *Redis, db int, state State) error {
	c := r.Client(db)
	defer c.Close()
	var cursor uint64
	for {
		keys, next, err := c.Scan(ctx, cursor, "*", 1000).Result()
		if err != nil {
			return err
		}
		if err := readKeys(ctx, c, db, keys, state); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func readKeys(ctx context.Context, c *redis.Client, db int, keys []string, state State) error {
	if len(keys) == 0 {
		return nil
	}
	types, deadlines, values := make([]*redis.StatusCmd, len(keys)), make([]*redis.Cmd, len(keys)), make([]*redis.Cmd, len(keys))
	pipe := c.Pipeline()
	for i, key := range keys {
		types[i] = pipe.Type(ctx, key)
		deadlines[i] = pipe.Do(ctx, "PEXPIRETIME", key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, key := range keys {
		values[i] = readValue(ctx, pipe, types[i].Val(), key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, key := range keys {
		kind := types[i].Val()
		state[fmt.Sprintf("%d/%s", db, key)] = fmt.Sprintf("%s deadline %v value %s", kind, deadlines[i].Val(), valueText(kind, values[i].Val()))
	}
	return nil
}

func readValue(ctx context.Context, pipe redis.Pipeliner, kind, key string) *redis.Cmd {
	switch kind {
	case "string":
		return pipe.Do(ctx, "GET", key)
	case "list":
		return pipe.Do(ctx, "LRANGE", key, 0, -1)
	case "hash":
		return pipe.Do(ctx, "HGETALL", key)
	case "set":
		return pipe.Do(ctx, "SMEMBERS", key)
	case "zset":
		return pipe.Do(ctx, "ZRANGE", key, 0, -1, "WITHSCORES")
	case "stream":
		return pipe.Do(ctx, "XRANGE", key, "-", "+")
	default:
		return pipe.Do(ctx, "DUMP", key)
	}
}

// valueText brings what Redis keeps in hash order into an order of its own.
func valueText(kind string, value any) string {
	items, ok := value.([]any)
	if !ok {
		return fmt.Sprintf("%q", value)
	}
	var parts []string
	switch kind {
	case "hash":
		for i := 0; i+1 < len(items); i += 2 {
			parts = append(parts, fmt.Sprintf("%q=%q", items[i], items[i+1]))
		}
		slices.Sort(parts)
	case "set":
		for _, item := range items {
			parts = append(parts, fmt.Sprintf("%q", item))
		}
		slices.Sort(parts)
	default:
		for _, item := range items {
			parts = append(parts, fmt.Sprintf("%q", item))
		}
	}
	return strings.Join(parts, " ")
}

// Digest is one line that two equal states share.
func (s State) Digest() string {
	keys := make([]string, 0, len(s))
	for key := range s {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	h := sha256.New()
	for _, key := range keys {
		fmt.Fprintf(h, "%q %q\n", key, s[key])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Diff describes up to ten keys in which s and other differ; "" if they are equal.
func (s State) Diff(other State) string {
	var lines []string
	for key, value := range s {
		if there, ok := other[key]; !ok {
			lines = append(lines, fmt.Sprintf("%q: %.200s, missing in the other", key, value))
		} else if there != value {
			lines = append(lines, fmt.Sprintf("%q: %.200s, in the other %.200s", key, value, there))
		}
	}
	for key, value := range other {
		if _, ok := s[key]; !ok {
			lines = append(lines, fmt.Sprintf("%q: missing, in the other %.200s", key, value))
		}
	}
	slices.Sort(lines)
	if more := len(lines) - 10; more > 0 {
		lines = append(lines[:10], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// AwaitEqual waits until the backends of all running nodes hold the same, and returns it. Let clients come to rest
// before; then it takes as long as the slowest node needs to catch up.
func (c *Cluster) AwaitEqual(ctx context.Context) (State, error) {
	var difference string
	for {
		state, diff, err := c.compare(ctx)
		if err == nil && diff == "" {
			return state, nil
		}
		if err != nil {
			difference = err.Error()
		} else {
			difference = diff
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("backends do not become equal: %w\n%s", ctx.Err(), difference)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Cluster) compare(ctx context.Context) (State, string, error) {
	var first State
	var name string
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		state, err := ReadState(ctx, n.Backend)
		if err != nil {
			return nil, "", err
		}
		if first == nil {
			first, name = state, n.Backend.Name
			continue
		}
		if diff := first.Diff(state); diff != "" {
			return nil, fmt.Sprintf("%s and %s differ:\n%s", name, n.Backend.Name, diff), nil
		}
	}
	return first, "", nil
}
