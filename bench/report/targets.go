package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// target is what a system should reach in a case.
type target struct {
	group, name, system string
	// of is the system, of the same case unless ofName names another one, whose rate is multiplied by least.
	of, ofName string
	least      float64
	// syncs and ms, instead: the median latency should be no more than so many fdatasyncs and milliseconds.
	syncs, ms float64
}

// targets are those for three nodes and everything else on one machine with 2 CPUs.
func targets() []target {
	const (
		set1, set16 = "SET 50 clients P1 32 B", "SET 50 clients P16 32 B"
		get1, get16 = "GET 50 clients P1 32 B", "GET 50 clients P16 32 B"
		lease       = "nexus 3, lease"
	)
	all := []target{
		{group: "redis", name: set1, system: lease, of: "redis", least: 0.30},
		{group: "redis", name: set1, system: lease, of: "redis, AOF always", least: 0.40},
		{group: "redis", name: set16, system: lease, of: "redis", least: 0.20},
		{group: "redis", name: get1, system: lease, of: "redis", least: 0.60},
		{group: "redis", name: get16, system: lease, of: "redis", least: 0.50},
		{group: "redis", name: get1, system: "nexus 3, quorum", of: lease, least: 0.70},
		{group: "redis", name: "SET 1 clients P1 32 B", system: lease, syncs: 3, ms: 0.5},
		{group: "clients", name: "SET 1000 clients P1 32 B", system: lease, of: lease, ofName: "SET 256 clients P1 32 B", least: 1},
		{group: "clients", name: "GET 1000 clients P1 32 B", system: lease, of: lease, ofName: "GET 256 clients P1 32 B", least: 1},
		{group: "nodes", name: set1, system: "nexus 5, lease", of: lease, least: 0.60},
		{group: "nodes", name: set16, system: "nexus 5, lease", of: lease, least: 0.60},
	}
	for _, threads := range []int{16, 64} {
		in := func(test, of string, least float64) target {
			return target{group: fmt.Sprintf("mysql-%d", threads), name: fmt.Sprintf("%s %d threads", test, threads), system: "nexus 3", of: of, least: least}
		}
		all = append(all, in("oltp_insert", "galera 3", 1.3), in("oltp_insert", "semi-sync 1+2", 1.2),
			in("oltp_update_index", "galera 3", 1.3), in("oltp_update_index", "semi-sync 1+2", 1.2),
			in("oltp_point_select", "mariadb, durable", 0.6), in("oltp_read_write", "galera 3", 1))
	}
	return all
}

// PrintTargets compares the results in dir with the targets, as far as they are there.
func PrintTargets(w io.Writer, dir string) error {
	rows := [][]string{{"load", "target", "measured", ""}}
	runs := make(map[string]*Run)
	for _, t := range targets() {
		if _, tried := runs[t.group]; !tried {
			r, err := Read(filepath.Join(dir, t.group+".json"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			runs[t.group] = r
		}
		if r := runs[t.group]; r != nil {
			rows = append(rows, t.judge(r))
		}
	}
	rows = append(rows, behind(runs))
	return Table(w, rows, 2)
}

// mostBehind is how many seconds a node may be behind at full load.
const mostBehind = 1

// behind judges how far followers were behind in any case.
func behind(runs map[string]*Run) []string {
	longest := 0.0
	for _, r := range runs {
		if r == nil {
			continue
		}
		for _, c := range r.Cases {
			for _, s := range c.Systems {
				if !strings.HasPrefix(s.Name, "nexus") {
					continue
				}
				longest = max(longest, s.Summary.Behind)
			}
		}
	}
	return []string{"all of these groups", fmt.Sprintf("followers at most %d s behind", mostBehind), fmt.Sprintf("%.2f s", longest), verdict(longest <= mostBehind)}
}

// judge returns the row of a target.
func (t *target) judge(r *Run) []string {
	name := t.name + ", " + t.system
	s := r.Find(t.name, t.system)
	if t.of == "" {
		most := t.syncs*r.Machine.Fdatasync + t.ms
		text := fmt.Sprintf("p50 at most %g x fdatasync + %g ms = %.2f ms", t.syncs, t.ms, most)
		if s == nil {
			return []string{name, text, "", "not measured"}
		}
		return []string{name, text, fmt.Sprintf("%.2f ms", s.Summary.P50), verdict(s.Summary.P50 <= most)}
	}
	ofName, suffix := t.name, ""
	if t.ofName != "" {
		ofName, suffix = t.ofName, " in "+t.ofName
	}
	text := fmt.Sprintf("%.0f %% of %s%s", 100*t.least, t.of, suffix)
	of := r.Find(ofName, t.of)
	if s == nil || of == nil || of.Summary.Rate == 0 {
		return []string{name, text, "", "not measured"}
	}
	ratio := s.Summary.Rate / of.Summary.Rate
	return []string{name, text, fmt.Sprintf("%.0f %%", 100*ratio), verdict(ratio >= t.least)}
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "MISSED"
}

// TargetNames are the measurements that the targets are about, as GROUP/CASE/SYSTEM.
func TargetNames() []string {
	var names []string
	for _, t := range targets() {
		names = append(names, t.group+"/"+t.name+"/"+t.system)
		if t.of == "" {
			continue
		}
		ofName := t.name
		if t.ofName != "" {
			ofName = t.ofName
		}
		names = append(names, t.group+"/"+ofName+"/"+t.of)
	}
	return names
}
