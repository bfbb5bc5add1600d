package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nexus-replication/nexus/bench/load"
)

// patience is how long answers may take when no more is asked.
const patience = 10 * time.Second

var errNoReply = errors.New("no reply")

// drive has clients of an etcd server, each with a connection of its own, put and get linearizably for d.
func drive(ctx context.Context, addr string, s load.Spec, d time.Duration) (*load.Result, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, d+patience)
	defer cancel()
	begin := time.Now()
	total, err := each(limit, addr, s, func(kv pb.KVClient, client int, count func(time.Time, error)) error {
		own := s
		own.Seed += uint64(client)
		c := load.NewChooser(own)
		stored := load.Value(s.Size)
		for time.Since(begin) < d {
			at := time.Now()
			var err error
			if key := keyName(c.Key()); c.Read() {
				_, err = kv.Range(limit, &pb.RangeRequest{Key: key})
			} else {
				_, err = kv.Put(limit, &pb.PutRequest{Key: key, Value: stored})
			}
			if limit.Err() != nil {
				return fmt.Errorf("%w: %w", errNoReply, limit.Err())
			}
			count(at, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load on %s: %w", addr, err)
	}
	total.Elapsed = time.Since(begin)
	return total, nil
}

// fill stores each key once.
func fill(ctx context.Context, addr string, keys, size int) error {
	const clients = 32
	s := load.Spec{Clients: clients, Pipeline: 1, Keys: keys, Size: size}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	total, err := each(limit, addr, s, func(kv pb.KVClient, client int, count func(time.Time, error)) error {
		stored := load.Value(size)
		for key := client; key < keys; key += clients {
			at := time.Now()
			_, err := kv.Put(limit, &pb.PutRequest{Key: keyName(key), Value: stored})
			count(at, err)
		}
		return limit.Err()
	})
	if err != nil {
		return fmt.Errorf("fill %s: %w", addr, err)
	}
	if total.Errors > 0 {
		return fmt.Errorf("fill %s: %s", addr, total.First)
	}
	return nil
}

func keyName(key int) []byte { return fmt.Appendf(nil, "key:%012d", key) }

// each runs f for each client, with a connection, and adds up what they count.
func each(ctx context.Context, addr string, s load.Spec, f func(kv pb.KVClient, client int, count func(time.Time, error)) error) (*load.Result, error) {
	results, errs := make([]load.Result, s.Clients), make([]error, s.Clients)
	var wg sync.WaitGroup
	for client := range s.Clients {
		wg.Go(func() {
			conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				errs[client] = err
				return
			}
			defer conn.Close()
			r := &results[client]
			errs[client] = f(pb.NewKVClient(conn), client, func(at time.Time, err error) {
				r.Ops++
				r.Latency.Add(time.Since(at), 1)
				if err != nil {
					r.Errors++
					r.First = err.Error()
				}
			})
		})
	}
	wg.Wait()
	total := new(load.Result)
	for i := range results {
		if errs[i] != nil {
			return nil, errs[i]
		}
		total.Ops += results[i].Ops
		total.Errors += results[i].Errors
		total.Latency.Merge(&results[i].Latency)
		if results[i].First != "" {
			total.First = results[i].First
		}
	}
	return total, ctx.Err()
}
