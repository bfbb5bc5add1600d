package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// load is one run of redis-benchmark.
type load struct {
	test     string
	clients  int
	pipeline int
	direct   int // requests to the redis-server
	nexus    int // requests to a node
}

// result of one run: requests a second, latencies in milliseconds.
type result struct {
	rps, p50, p99 float64
}

func (r result) rate() float64          { return r.rps }
func (r result) medianLatency() float64 { return r.p50 }
func (r result) tailLatency() float64   { return r.p99 }

func (l load) run(ctx context.Context, port, requests int) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "redis-benchmark",
		"-h", "127.0.0.1", "-p", strconv.Itoa(port), "-t", l.test, "-c", strconv.Itoa(l.clients),
		"-P", strconv.Itoa(l.pipeline), "-n", strconv.Itoa(requests), "-r", "10000", "-d", "32", "--csv")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("redis-benchmark: %w: %s%s", err, out.Bytes(), errs.Bytes())
	}
	return parse(out.Bytes())
}

// parse reads the line after the header of redis-benchmark --csv.
func parse(b []byte) (result, error) {
	records, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return result{}, fmt.Errorf("redis-benchmark --csv: %w: %s", err, b)
	}
	if len(records) != 2 {
		return result{}, fmt.Errorf("redis-benchmark --csv: want a header and one line, got %s", b)
	}
	var r result
	fields := map[string]*float64{"rps": &r.rps, "p50_latency_ms": &r.p50, "p99_latency_ms": &r.p99}
	for i, name := range records[0] {
		field := fields[name]
		if field == nil {
			continue
		}
		if *field, err = strconv.ParseFloat(records[1][i], 64); err != nil {
			return result{}, err
		}
		delete(fields, name)
	}
	if len(fields) > 0 {
		return result{}, errors.New("redis-benchmark --csv does not print what it did in Redis 7.0")
	}
	return r, nil
}
