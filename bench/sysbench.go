package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/bench/load"
	"github.com/nexus-replication/nexus/integration/cluster"
)

// sysbench is one of its loads, on 4 tables of 10,000 rows. Its operations are transactions.
type sysbench struct {
	test    string
	threads int
}

const (
	sysbenchDatabase = "sbtest"
	sysbenchTables   = 4
	sysbenchRows     = 10_000
)

// contents of a system, of which one suits all loads of sysbench.
func (sysbench) contents() string { return "sysbench" }

func (sysbench) fill(ctx context.Context, _ *env, _ *system, addr string) error {
	_, port, err := splitPort(addr)
	if err != nil {
		return err
	}
	db, err := (&cluster.MariaDB{Port: port}).Client()
	if err != nil {
		return err
	}
	err = executeAll(ctx, db, "CREATE DATABASE "+sysbenchDatabase)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, _, err = sysbench{"oltp_insert", 1}.command(ctx, addr, 0, "prepare")
	return err
}

func (l sysbench) run(ctx context.Context, _ *env, _ *system, addr string, d time.Duration) (*load.Result, time.Duration, error) {
	out, used, err := l.command(ctx, addr, d, "run")
	if err != nil {
		return nil, 0, err
	}
	r, err := parseSysbench(out)
	return r, used, err
}

func (l sysbench) command(ctx context.Context, addr string, d time.Duration, command string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	host, port, err := splitPort(addr)
	if err != nil {
		return "", 0, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sysbench", l.test, "--mysql-host="+host, "--mysql-port="+strconv.Itoa(port), "--mysql-user=root",
		"--mysql-db="+sysbenchDatabase, fmt.Sprintf("--tables=%d", sysbenchTables), fmt.Sprintf("--table-size=%d", sysbenchRows),
		fmt.Sprintf("--threads=%d", l.threads), fmt.Sprintf("--time=%d", max(1, int(math.Ceil(d.Seconds())))), "--histogram=on", command)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", 0, unavailable{fmt.Errorf("install sysbench: %w", err)}
		}
		return "", 0, fmt.Errorf("sysbench %s %s: %w: %s", l.test, command, err, out.Bytes())
	}
	return out.String(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

func splitPort(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

var (
	sysbenchTotal  = regexp.MustCompile(`transactions: +(\d+) +\(([0-9.]+) per sec`)
	sysbenchBucket = regexp.MustCompile(`(?m)^ *([0-9.]+) \|[* ]* (\d+)$`)
	sysbenchErrors = regexp.MustCompile(`ignored errors: +(\d+)`)
)

// parseSysbench reads the transactions, and the histogram: sysbench itself prints one percentile.
func parseSysbench(out string) (*load.Result, error) {
	total := sysbenchTotal.FindStringSubmatch(out)
	buckets := sysbenchBucket.FindAllStringSubmatch(out, -1)
	if total == nil || len(buckets) == 0 || strings.Contains(out, "FATAL") {
		return nil, errors.New("sysbench does not print what version 1.0 did: " + out)
	}
	r := new(load.Result)
	var err error
	if r.Ops, err = strconv.ParseUint(total[1], 10, 64); err != nil {
		return nil, err
	}
	rate, err := strconv.ParseFloat(total[2], 64)
	if err != nil || rate == 0 {
		return nil, fmt.Errorf("sysbench did nothing: %s", total[0])
	}
	r.Elapsed = time.Duration(float64(r.Ops) / rate * float64(time.Second))
	for _, b := range buckets {
		ms, err := strconv.ParseFloat(b[1], 64)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(b[2], 10, 64)
		if err != nil {
			return nil, err
		}
		r.Latency.Add(time.Duration(ms*float64(time.Millisecond)), n)
	}
	if ignored := sysbenchErrors.FindStringSubmatch(out); ignored != nil {
		if r.Errors, err = strconv.ParseUint(ignored[1], 10, 64); err != nil {
			return nil, err
		}
		r.First = "an error that sysbench repeats by itself, as a deadlock"
	}
	return r, nil
}
