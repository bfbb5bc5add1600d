package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// part of tour.json: a name and steps, each a command and its reply.
type part struct {
	name  string
	steps []step
}

type step struct {
	command []string
	want    any
}

func (p *part) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&p.name, &p.steps}) }
func (s *step) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&s.command, &s.want}) }

func (p *program) tour(ctx context.Context) error {
	c := p.careful()
	defer c.Close()
	var table []part
	if err := readTable("tour.json", &table); err != nil {
		return err
	}
	for _, part := range table {
		for _, s := range part.steps {
			got, err := c.Do(ctx, args(p.fill(s.command, ""))...).Result()
			if err != nil && !errors.Is(err, none) {
				return fmt.Errorf("%v: %w", s.command, err)
			}
			if err := expect(strings.Join(s.command, " "), flat(got), p.fill(flat(s.want), "")); err != nil {
				return err
			}
		}
		report("did", part.name, nil)
	}
	for _, f := range []struct {
		name string
		do   func(context.Context, *client) error
	}{
		{"pipelines", p.pipelines}, {"transactions", p.transactions}, {"scripts", p.scripts}, {"blocking", p.blocking},
		{"pubsub", p.pubsub}, {"scans", p.scans}, {"groups", p.groups}, {"large", p.large},
	} {
		if err := f.do(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		report("did", f.name, nil)
	}
	return nil
}

// flat gives a reply as a list of texts, in whichever protocol it came.
func flat(reply any) []string {
	var texts []string
	switch v := reply.(type) {
	case nil:
		return []string{"(nil)"}
	case []any:
		for _, item := range v {
			texts = append(texts, flat(item)...)
		}
	case map[any]any:
		for k, item := range v {
			pair := append(flat(k), flat(item)...)
			if k == "n" { // the hash of the tour has f before n
				texts = append(texts, pair...)
			} else {
				texts = append(pair, texts...)
			}
		}
	case float64:
		return []string{strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+"))}
	default:
		return []string{fmt.Sprint(v)}
	}
	return texts
}

func expect(what string, got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%.200s: %v, want %v", what, got, want)
	}
	return nil
}

func (p *program) pipelines(ctx context.Context, c *client) error {
	replies, err := c.Pipelined(ctx, func(pipe pipeliner) error {
		for range 1000 {
			pipe.Incr(ctx, p.key("pipe"))
			pipe.Get(ctx, p.key("pipe"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := replies[len(replies)-1].(interface{ Val() string }).Val()
	replies, err = c.Pipelined(ctx, func(pipe pipeliner) error {
		pipe.LPush(ctx, p.key("pipe"), "x")
		pipe.Get(ctx, p.key("pipe"))
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") || replies[1].Err() != nil {
		return fmt.Errorf("a pipeline with an error: %w", err)
	}
	return expect("pipeline", n, "1000")
}

func (p *program) transactions(ctx context.Context, c *client) error {
	key := p.key("t")
	if _, err := c.TxPipelined(ctx, func(pipe pipeliner) error {
		pipe.Set(ctx, key, 1, 0)
		pipe.Incr(ctx, key)
		return nil
	}); err != nil {
		return err
	}
	double := func(disturb bool) error {
		return c.Watch(ctx, func(tx *transaction) error {
			n, err := tx.Get(ctx, key).Int()
			if err == nil && disturb {
				err = c.Set(ctx, key, 21, 0).Err() // another client is faster
			}
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe pipeliner) error {
				pipe.Set(ctx, key, 2*n, 0)
				return nil
			})
			return err
		}, key)
	}
	if err := double(true); !errors.Is(err, txFailed) {
		return fmt.Errorf("EXEC after a change: %w", err)
	}
	if err := double(false); err != nil {
		return err
	}
	return expect("WATCH", c.Get(ctx, key).Val(), "42")
}

func (p *program) scripts(ctx context.Context, c *client) error {
	if err := c.ScriptFlush(ctx).Err(); err != nil {
		return err
	}
	double := newScript("return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)")
	for _, want := range []int64{2, 4} {
		got, err := double.Run(ctx, c, []string{p.key("d")}, 1).Int64()
		if err != nil {
			return err
		}
		if err := expect("EVALSHA after NOSCRIPT", got, want); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) blocking(ctx context.Context, c *client) error {
	if err := c.BLPop(ctx, time.Second, p.key("blocked")).Err(); !errors.Is(err, none) {
		return fmt.Errorf("BLPOP that times out: %w", err)
	}
	pushed := make(chan error)
	time.AfterFunc(100*time.Millisecond, func() {
		pushed <- errors.Join(c.RPush(ctx, p.key("blocked"), "v").Err(), zadd(ctx, c, p.key("bz"), 1, "m"))
	})
	list, err := c.BLPop(ctx, 5*time.Second, p.key("none"), p.key("blocked")).Result()
	zset, zerr := c.BZPopMin(ctx, 5*time.Second, p.key("bz")).Result()
	if err := errors.Join(<-pushed, err, zerr); err != nil {
		return err
	}
	return errors.Join(expect("BLPOP", list, []string{p.key("blocked"), "v"}), expect("BZPOPMIN", zset.Score, 1.0))
}

func (p *program) pubsub(ctx context.Context, c *client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	sub := c.Subscribe(ctx, p.key("ch"))
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	if err := sub.PSubscribe(ctx, p.key("pat*")); err != nil {
		return err
	}
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.Publish(ctx, p.key("ch"), "one").Err(), c.Publish(ctx, p.key("patX"), "two").Err()); err != nil {
		return err
	}
	for _, want := range []string{"one", "two"} {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		if err := expect("message", m.Payload, want); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) scans(ctx context.Context, c *client) error {
	var pairs []any
	for i := range 500 {
		pairs = append(pairs, p.key(fmt.Sprint("scan:", i)), i)
	}
	if err := c.MSet(ctx, pairs...).Err(); err != nil {
		return err
	}
	found := map[string]bool{}
	keys := c.Scan(ctx, 0, p.key("scan:*"), 50).Iterator()
	for keys.Next(ctx) {
		found[keys.Val()] = true
	}
	return errors.Join(keys.Err(), expect("SCAN", len(found), 500))
}

func (p *program) groups(ctx context.Context, c *client) error {
	stream := p.key("g")
	if err := c.XGroupCreateMkStream(ctx, stream, "g", "$").Err(); err != nil {
		return err
	}
	var ids []string
	for i := range 3 {
		id, err := c.XAdd(ctx, &addArgs{Stream: stream, Values: []any{"n", i}}).Result()
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	read, err := c.XReadGroup(ctx, &groupArgs{Group: "g", Consumer: "c", Streams: []string{stream, ">"}, Block: time.Second}).Result()
	if err != nil {
		return err
	}
	var got []string
	for _, m := range read[0].Messages {
		got = append(got, m.ID)
	}
	pending, err := c.XPending(ctx, stream, "g").Result()
	if err != nil {
		return err
	}
	claimed, err := c.XClaim(ctx, &claimArgs{Stream: stream, Group: "g", Consumer: "other", Messages: ids}).Result()
	if err != nil {
		return err
	}
	acked, err := c.XAck(ctx, stream, "g", ids...).Result()
	return errors.Join(err, expect("XREADGROUP", slices.Equal(got, ids), true), expect("XPENDING", pending.Count, int64(3)),
		expect("XCLAIM", len(claimed), 3), expect("XACK", acked, int64(3)))
}

func (p *program) large(ctx context.Context, c *client) error {
	value := strings.Repeat("\r\n\x00x", 2<<20)
	if err := c.Set(ctx, p.key("large"), value, 0).Err(); err != nil {
		return err
	}
	got, err := c.Get(ctx, p.key("large")).Result()
	return errors.Join(err, expect("8 MB", got == value, true), c.Del(ctx, p.key("large")).Err())
}
