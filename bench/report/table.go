package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Print writes a table of Markdown that can be read as it is.
func (r *Run) Print(w io.Writer) error {
	rows := [][]string{{"load", "system", "ops/s", "spread", "ratio", "p50 ms", "p99 ms", "p99.9 ms",
		"CPU µs/op", "node", "backend", "load", "net B/op", "disk B/op", "fsync/op", "others' CPU"}}
	for _, c := range r.Cases {
		for i, s := range c.Systems {
			name := c.Name
			if i > 0 {
				name = ""
			}
			rows = append(rows, append([]string{name}, s.cells(r.Machine.Network)...))
		}
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", r.about()); err != nil {
		return err
	}
	return Table(w, rows, 2)
}

func (r *Run) about() string {
	m := &r.Machine
	return fmt.Sprintf("%s: %s %d CPUs (%s), all on this machine; medians of %d slices of %g s after a warm-up, the systems in turns. Fdatasync takes %.2f ms.",
		r.Group, r.About, m.CPUs, m.CPU, m.Rounds, m.Slice, m.Fdatasync)
}

func (s *System) cells(network bool) []string {
	u := &s.Summary
	optional := func(format string, v float64) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf(format, v)
	}
	net := ""
	if network {
		net = optional("%.0f", u.Network)
	}
	name := s.Name
	if u.Errors > 0 {
		name += fmt.Sprintf(" (%d errors)", u.Errors)
	}
	spread := ""
	if u.Rate > 0 {
		spread = fmt.Sprintf("%+.0f %+.0f %%", 100*(u.Least/u.Rate-1), 100*(u.Most/u.Rate-1))
	}
	return []string{name, fmt.Sprintf("%.0f", u.Rate), spread, optional("%.1f %%", 100*u.Ratio),
		milliseconds(u.P50), milliseconds(u.P99), milliseconds(u.P999),
		microseconds(u.CPU[All]), microseconds(u.CPU[Node]), microseconds(u.CPU[Backend]), microseconds(u.CPU[Load]),
		net, optional("%.0f", u.Disk), optional("%.3f", u.Counters["fsyncs"]), fmt.Sprintf("%.0f %%", 100*u.Others)}
}

// milliseconds with three digits that mean something.
func milliseconds(v float64) string { return digits(v, 3) }

func microseconds(v float64) string {
	if v == 0 {
		return ""
	}
	return digits(v, 1)
}

// digits writes v with at most most digits behind the point, and no more than three in all that matter.
func digits(v float64, most int) string {
	behind := most
	if v >= 1 {
		behind = min(most, max(0, 2-int(math.Log10(v))))
	}
	return fmt.Sprintf("%.*f", behind, v)
}

// Table writes rows, of which the first has the titles, as Markdown: the first left columns aligned to the left, the others
// to the right.
func Table(w io.Writer, rows [][]string, left int) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i >= left {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			line := strings.Repeat("-", width+2)
			if i >= left {
				line = line[:width+1] + ":"
			}
			b.WriteString("|" + line)
		}
		b.WriteString("|\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
