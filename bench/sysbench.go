package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sysbench is one run of one of its loads, on 4 tables of 10,000 rows.
type sysbench struct {
	test    string
	threads int
	seconds int
}

const (
	sysbenchDatabase = "sbtest"
	sysbenchTables   = 4
	sysbenchRows     = 10_000
)

func (l sysbench) command(ctx context.Context, port int, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sysbench", l.test, "--mysql-host=127.0.0.1", "--mysql-port="+strconv.Itoa(port), "--mysql-user=root",
		"--mysql-db="+sysbenchDatabase, fmt.Sprintf("--tables=%d", sysbenchTables), fmt.Sprintf("--table-size=%d", sysbenchRows),
		fmt.Sprintf("--threads=%d", l.threads), fmt.Sprintf("--time=%d", l.seconds), "--histogram=on", command)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("sysbench %s %s: %w: %s", l.test, command, err, out.Bytes())
	}
	return out.Bytes(), nil
}

func (l sysbench) run(ctx context.Context, port int) (result, error) {
	out, err := l.command(ctx, port, "run")
	if err != nil {
		return result{}, err
	}
	return parseSysbench(string(out))
}

var (
	sysbenchRate   = regexp.MustCompile(`transactions: +\d+ +\(([0-9.]+) per sec`)
	sysbenchBucket = regexp.MustCompile(`(?m)^ *([0-9.]+) \|[* ]* (\d+)$`)
)

// parseSysbench reads transactions a second, and the percentiles out of the histogram: sysbench itself prints one of them.
func parseSysbench(out string) (result, error) {
	rate := sysbenchRate.FindStringSubmatch(out)
	buckets := sysbenchBucket.FindAllStringSubmatch(out, -1)
	if rate == nil || len(buckets) == 0 || strings.Contains(out, "FATAL") {
		return result{}, errors.New("sysbench does not print what version 1.0 did: " + out)
	}
	var r result
	var err error
	if r.rps, err = strconv.ParseFloat(rate[1], 64); err != nil {
		return r, err
	}
	latencies, counts, total := make([]float64, len(buckets)), make([]int, len(buckets)), 0
	for i, b := range buckets {
		if latencies[i], err = strconv.ParseFloat(b[1], 64); err != nil {
			return r, err
		}
		if counts[i], err = strconv.Atoi(b[2]); err != nil {
			return r, err
		}
		total += counts[i]
	}
	seen := 0
	for i, n := range counts {
		if seen < total/2+1 {
			r.p50 = latencies[i]
		}
		if seen < total*99/100+1 {
			r.p99 = latencies[i]
		}
		seen += n
	}
	return r, nil
}
