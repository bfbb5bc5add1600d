package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// effect is one of effects.json.
type effect struct {
	Name, How, Script string
	Repeatable        bool
	Commands          [][]string
	Keys              []string
}

// work produces effects and consumes them until standard input ends.
func (p *program) work(ctx context.Context) error {
	var table struct{ Effects []effect }
	if err := readTable("effects.json", &table); err != nil {
		return err
	}
	setup := p.persistent()
	defer setup.Close()
	if err := again(true, func() error {
		err := setup.XGroupCreateMkStream(ctx, p.key("stream"), "workers", "0").Err()
		if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	var stop, drain atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the signal, however it comes
		stop.Store(true)
	}()
	var producers, consumers sync.WaitGroup
	for _, e := range table.Effects {
		producers.Go(func() { p.produce(ctx, e, &stop) })
	}
	for _, consume := range []func(context.Context, *atomic.Bool) error{p.pop, p.readGroup, p.listen} {
		consumers.Go(func() {
			if err := consume(ctx, &drain); err != nil {
				fail(err)
			}
		})
	}
	producers.Wait()
	drain.Store(true)
	consumers.Wait()
	return nil
}

func (p *program) produce(ctx context.Context, e effect, stop *atomic.Bool) {
	c := p.careful()
	if e.Repeatable {
		c = p.persistent()
	}
	defer c.Close()
	for n := 0; !stop.Load(); n++ {
		id := fmt.Sprintf("%s-%d", p.instance, n)
		err := again(e.Repeatable, func() error { return p.do(ctx, c, e, id) })
		switch {
		case err == nil:
			report("ack", e.Name, map[string]string{"id": id})
		case unknown(err):
			report("unknown", e.Name, map[string]string{"id": id, "error": err.Error()})
		default:
			fail(fmt.Errorf("%s: %w", e.Name, err))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *program) do(ctx context.Context, c *client, e effect, id string) error {
	queue := func(pipe pipeliner) error {
		for _, command := range e.Commands {
			pipe.Do(ctx, args(p.fill(command, id))...)
		}
		return nil
	}
	switch e.How {
	case "pipeline":
		_, err := c.Pipelined(ctx, queue)
		return err
	case "multi":
		_, err := c.TxPipelined(ctx, queue)
		return err
	case "script":
		return newScript(e.Script).Run(ctx, c, p.fill(e.Keys, id), id).Err()
	case "watch":
		return watch(ctx, c, p.fill(e.Keys, id), id)
	default:
		return c.Do(ctx, args(p.fill(e.Commands[0], id))...).Err()
	}
}

// watch appends to the list keys[0] and counts its elements in keys[1].
func watch(ctx context.Context, c *client, keys []string, id string) error {
	for {
		err := c.Watch(ctx, func(tx *transaction) error {
			n, err := tx.LLen(ctx, keys[0]).Result()
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(pipe pipeliner) error {
				pipe.RPush(ctx, keys[0], id)
				pipe.Set(ctx, keys[1], n+1, 0)
				return nil
			})
			return err
		}, keys[0])
		if !errors.Is(err, txFailed) {
			return err
		}
	}
}

func (p *program) pop(ctx context.Context, drain *atomic.Bool) error {
	c := p.careful()
	defer c.Close()
	for {
		var popped []string
		err := again(false, func() (err error) {
			popped, err = c.BLPop(ctx, time.Second, p.key("queue")).Result()
			return err
		})
		switch {
		case err == nil:
			report("took", "queue", map[string]string{"id": popped[1]})
		case errors.Is(err, none):
			if drain.Load() {
				return nil
			}
		case unknown(err):
			report("failed", "queue", map[string]string{"error": err.Error()})
		default:
			return err
		}
	}
}

func (p *program) readGroup(ctx context.Context, drain *atomic.Bool) error {
	c, stream := p.persistent(), p.key("stream")
	defer c.Close()
	for {
		read := 0
		for _, from := range []string{"0", ">"} { // what was delivered and not acknowledged, then what is new
			err := again(true, func() error {
				streams, err := c.XReadGroup(ctx, &groupArgs{
					Group: "workers", Consumer: p.instance, Streams: []string{stream, from}, Count: 10, Block: 500 * time.Millisecond,
				}).Result()
				if err != nil || len(streams) == 0 {
					return err
				}
				for _, m := range streams[0].Messages {
					if err := c.XAck(ctx, stream, "workers", m.ID).Err(); err != nil {
						return err
					}
					report("took", "stream", map[string]string{"id": m.Values["id"].(string)})
					read++
				}
				return nil
			})
			if err != nil && !errors.Is(err, none) {
				return err
			}
		}
		if read == 0 && drain.Load() {
			return nil
		}
	}
}

func (p *program) listen(ctx context.Context, drain *atomic.Bool) error {
	c, last := p.persistent(), p.instance+"-end"
	defer c.Close()
	sub := c.Subscribe(ctx, p.key("news"))
	defer sub.Close()
	messages := sub.Channel()
	for {
		select {
		case m := <-messages:
			if m.Payload == last {
				return nil
			}
			report("took", "news", map[string]string{"id": m.Payload})
		case <-time.After(100 * time.Millisecond):
			if !drain.Load() {
				continue
			}
			if err := again(true, func() error { return c.Publish(ctx, p.key("news"), last).Err() }); err != nil {
				return err
			}
		}
	}
}

// again asks again what was not done, and what may be done twice also when that is not known.
func again(repeatable bool, f func() error) error {
	for {
		err := f()
		if err == nil || errors.Is(err, none) || !strings.HasPrefix(err.Error(), "TRYAGAIN") && (!repeatable || !unknown(err)) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unknown tells whether a command may have been executed although it failed: it is no error of Redis's but this one.
func unknown(err error) bool {
	var reply interface{ RedisError() }
	return strings.HasPrefix(err.Error(), "UNKNOWNOUTCOME") || !errors.As(err, &reply)
}
