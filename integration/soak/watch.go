package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// lookEvery is the time between two looks at the processes, lagEvery between two at how far the followers are.
const (
	lookEvery = 5 * time.Second
	lagEvery  = 200 * time.Millisecond
)

// What is measured of a process.
const (
	memory     = "memory, MB"
	files      = "open files"
	threads    = "threads"
	goroutines = "goroutines"
	logDisk    = "log on disk, MB"
	snapDisk   = "snapshots on disk, MB"
	snapshots  = "snapshot at index"
)

// measures are in the order in which they are reported.
var measures = []string{memory, files, threads, goroutines, logDisk, snapDisk, snapshots}

// look is what was measured of each process at a time.
type look struct {
	at    time.Duration // since the load began
	names map[string]map[string]float64
}

// watch looks at the processes of clusters.
type watch struct {
	clusters []*cluster.Cluster
	begin    time.Time
	looks    []look
	lags     []*lag
}

func newWatch(clusters []*cluster.Cluster) *watch {
	w := &watch{clusters: clusters, begin: time.Now()}
	for _, c := range clusters {
		w.lags = append(w.lags, &lag{nodes: c.Nodes})
	}
	return w
}

// until looks again and again until ctx ends.
func (w *watch) until(ctx context.Context) error {
	next := time.Now()
	for rest(ctx, lagEvery) == nil {
		for _, l := range w.lags {
			l.look(ctx)
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(lookEvery)
		l, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		w.looks = append(w.looks, l)
	}
	return nil
}

func (w *watch) look(ctx context.Context) (look, error) {
	l := look{at: time.Since(w.begin), names: make(map[string]map[string]float64)}
	for _, c := range w.clusters {
		for _, n := range c.Nodes {
			of, err := measureNode(ctx, n)
			if err != nil {
				return l, err
			}
			l.names[n.Name] = of
			b := n.BackendProcess()
			if l.names[b.Name], err = measureProcess(b); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

func measureNode(ctx context.Context, n *cluster.Node) (map[string]float64, error) {
	of, err := measureProcess(&n.Process)
	if err != nil {
		return nil, err
	}
	metrics, err := scrape(ctx, n, "go_goroutines", "nexus_raft_snapshot_index")
	if err != nil {
		return nil, err
	}
	of[goroutines], of[snapshots] = metrics["go_goroutines"], metrics["nexus_raft_snapshot_index"]
	for measure, dir := range map[string]string{logDisk: "wal", snapDisk: "snap"} {
		bytes, err := size(filepath.Join(n.DataDir, dir))
		if err != nil {
			return nil, err
		}
		of[measure] = float64(bytes) / 1e6
	}
	return of, nil
}

// measureProcess needs /proc, as Linux has it.
func measureProcess(p *cluster.Process) (map[string]float64, error) {
	dir := fmt.Sprintf("/proc/%d", p.Pid())
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", p.Name, err)
	}
	of := make(map[string]float64)
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			continue // a text
		}
		switch fields[0] {
		case "VmRSS:":
			of[memory] = n / 1024
		case "Threads:":
			of[threads] = n
		}
	}
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	of[files] = float64(len(open))
	return of, err
}

// size sums up what is below a directory. Files may go away meanwhile.
func size(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// scrape reads single metrics that have no labels.
func scrape(ctx context.Context, n *cluster.Node, names ...string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.MetricsAddr()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", n.Name, err)
	}
	defer resp.Body.Close()
	found := make(map[string]float64)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		for _, name := range names {
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				if found[name], err = strconv.ParseFloat(text, 64); err != nil {
					return nil, fmt.Errorf("metric %s of %s: %w", name, n.Name, err)
				}
			}
		}
	}
	return found, lines.Err()
}
