package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Sizes in a chart, in pixels.
const (
	barHeight  = 16
	rowHeight  = 20
	caseGap    = 34
	labelWidth = 250
	barWidth   = 420
	noteWidth  = 330
	chartTop   = 56
)

// Colors of Nexus, and of what it is compared with.
var ours, theirs = []string{"#1f618d", "#5dade2", "#117a65", "#45b39d"}, []string{"#7f8c8d", "#b2babb", "#b9770e", "#e59866"}

// chart draws a bar for each system in each case: its rate, with the spread, as a part of the best in the case.
func (r *Run) chart() []byte {
	height := chartTop
	colors := make(map[string]string) // a system has one in all cases
	var our, their int
	for _, c := range r.Cases {
		height += caseGap + rowHeight*len(c.Systems)
		for _, s := range c.Systems {
			switch {
			case colors[s.Name] != "":
			case strings.HasPrefix(s.Name, "nexus"):
				colors[s.Name] = ours[our%len(ours)]
				our++
			default:
				colors[s.Name] = theirs[their%len(theirs)]
				their++
			}
		}
	}
	d := new(drawing)
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		labelWidth+barWidth+noteWidth, height+20)
	d.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	d.text(12, 22, `font-size="15" font-weight="bold"`, fmt.Sprintf("Nexus: %s", r.Group))
	d.text(12, 40, `fill="#555555"`, fmt.Sprintf("Operations a second, median and spread of %d slices, and CPU time of all processes for each. %d CPUs, shared by all.",
		r.Machine.Rounds, r.Machine.CPUs))
	y := chartTop
	for _, c := range r.Cases {
		y = d.bars(c, colors, y)
	}
	d.printf("</svg>\n")
	return d.Bytes()
}

type drawing struct{ bytes.Buffer }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.Buffer, format, args...) }

func (d *drawing) text(x, y int, attributes, text string) {
	d.printf(`<text x="%d" y="%d" %s>`, x, y, attributes)
	_ = xml.EscapeText(&d.Buffer, []byte(text)) // a buffer takes everything
	d.printf("</text>\n")
}

// bars draws a case from y on, and returns where it ends.
func (d *drawing) bars(c *Case, colors map[string]string, y int) int {
	y += caseGap
	d.text(12, y-8, `font-weight="bold"`, c.Name)
	best := 0.0
	for _, s := range c.Systems {
		best = math.Max(best, s.Summary.Most)
	}
	if best == 0 {
		return y
	}
	scale := func(rate float64) int { return int(math.Round(rate / best * barWidth)) }
	for _, s := range c.Systems {
		u := &s.Summary
		middle := y + rowHeight/2
		d.text(labelWidth-8, middle+4, `text-anchor="end"`, s.Name)
		d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n",
			labelWidth, y+(rowHeight-barHeight)/2, max(1, scale(u.Rate)), barHeight, colors[s.Name])
		d.printf(`<path d="M%d %dH%dM%d %dv8M%d %dv8" stroke="#222222"/>`+"\n",
			labelWidth+scale(u.Least), middle, labelWidth+scale(u.Most), labelWidth+scale(u.Least), middle-4, labelWidth+scale(u.Most), middle-4)
		note := fmt.Sprintf("%s/s, %s µs", thousands(u.Rate), microseconds(u.CPU[All]))
		if u.CPU[All] == 0 {
			note = fmt.Sprintf("%s/s, p50 %s ms", thousands(u.Rate), milliseconds(u.P50))
		}
		if u.Ratio > 0 {
			note += fmt.Sprintf(", %.0f %%", 100*u.Ratio)
		}
		d.text(labelWidth+scale(u.Most)+10, middle+4, `fill="#333333"`, note)
		y += rowHeight
	}
	return y
}

// thousands writes a number with commas.
func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
