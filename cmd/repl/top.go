package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// historyLength is how many rates the lines of top show.
const historyLength = 60

// topRow is a member in top, as JSON shows it. Latencies are in milliseconds, nil where nothing was timed.
type topRow struct {
	ID           string   `json:"id"`
	URL          string   `json:"url"`
	Role         string   `json:"role"`
	Reads        float64  `json:"readsPerSecond"`
	Writes       float64  `json:"writesPerSecond"`
	ReadLatency  *float64 `json:"readMillis"`
	WriteLatency *float64 `json:"writeMillis"`
	Clients      uint64   `json:"clients"`
	Behind       uint64   `json:"behind"`
	Serving      bool     `json:"serving"`
	State        string   `json:"state"`
}

// top shows what the nodes do: the rates between two looks.
type top struct {
	before        *seen
	reads, writes []float64 // of the whole cluster, the newest last
	coloured      bool
}

func (s *session) top([]string) error {
	t := &top{coloured: s.coloured}
	first, err := s.look()
	if err != nil {
		return err
	}
	t.before = first
	select {
	case <-s.ctx.Done():
		return nil
	case <-time.After(min(s.interval, time.Second)):
	}
	return s.repeat(t.draw)
}

func (t *top) draw(view *seen) (any, string) {
	rows := t.measure(view)
	var reads, writes float64
	for _, r := range rows {
		reads, writes = reads+r.Reads, writes+r.Writes
	}
	t.reads, t.writes = pushRate(t.reads, reads), pushRate(t.writes, writes)
	t.before = view
	return map[string]any{"readsPerSecond": reads, "writesPerSecond": writes, "nodes": rows}, t.text(rows, reads, writes, view)
}

func pushRate(list []float64, rate float64) []float64 {
	list = append(list, rate)
	return list[max(0, len(list)-historyLength):]
}

// measure compares two looks. A node that was not there before, or was started in between, has no rates.
func (t *top) measure(view *seen) []topRow {
	before := make(map[uint64]*nexuspb.Activity)
	for _, n := range t.before.nodes {
		if n.GetActivity() != nil {
			before[n.GetMember().GetId()] = n.GetActivity()
		}
	}
	seconds := view.at.Sub(t.before.at).Seconds()
	rows := make([]topRow, 0, len(view.nodes))
	for i, r := range view.rows() {
		row := topRow{ID: r.ID, URL: r.URL, Role: r.Role, Behind: r.Behind, Serving: r.Serving, State: r.State}
		now, then := view.nodes[i].GetActivity(), before[view.nodes[i].GetMember().GetId()]
		row.Clients = now.GetClients()
		if now != nil && then != nil && seconds > 0 && now.GetCommands() >= then.GetCommands() {
			row.Reads = float64(now.GetReads()-then.GetReads()) / seconds
			row.Writes = float64(now.GetWrites()-then.GetWrites()) / seconds
			row.ReadLatency = millis(now.GetReadSeconds()-then.GetReadSeconds(), now.GetReadsTimed()-then.GetReadsTimed())
			row.WriteLatency = millis(now.GetWriteSeconds()-then.GetWriteSeconds(), now.GetWritesTimed()-then.GetWritesTimed())
		}
		rows = append(rows, row)
	}
	return rows
}

func millis(seconds float64, n uint64) *float64 {
	if n == 0 {
		return nil
	}
	mean := 1000 * seconds / float64(n)
	return &mean
}

func (t *top) text(rows []topRow, reads, writes float64, view *seen) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Cluster %s\n", view.asked.GetClusterName())
	b.WriteString(writeTable([][]cell{
		{{text: "reads/s", colour: dim}, right(rate(reads)), {text: sparkline(t.reads)}},
		{{text: "writes/s", colour: dim}, right(rate(writes)), {text: sparkline(t.writes)}},
	}, t.coloured))
	b.WriteByte('\n')
	table := [][]cell{heads("NODE URL", "ROLE", ">READS/S", ">WRITES/S", ">READ MS", ">WRITE MS", ">CLIENTS", ">BEHIND", "STATE OF NODE AND BACKEND")}
	for _, r := range rows {
		table = append(table, []cell{
			{text: r.URL}, {text: r.Role, colour: roleColour(r.Role)}, right(rate(r.Reads)), right(rate(r.Writes)),
			right(latency(r.ReadLatency)), right(latency(r.WriteLatency)), right(number(r.Clients)), behind(r.Behind),
			{text: r.State, colour: stateColour(r.Serving)},
		})
	}
	b.WriteString(writeTable(table, t.coloured))
	return b.String()
}

func rate(v float64) string {
	if v > 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func latency(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *v)
}

// sparkline draws values as bars, the greatest of them as the highest.
func sparkline(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	heights := []rune(bars)
	greatest := 0.0
	for _, v := range values {
		greatest = max(greatest, v)
	}
	line := make([]rune, len(values))
	for i, v := range values {
		line[i] = heights[0]
		if greatest > 0 {
			line[i] = heights[int(v/greatest*float64(len(heights)-1)+0.5)]
		}
	}
	return string(line)
}
