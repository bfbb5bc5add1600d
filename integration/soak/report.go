package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// longestLag is how far behind a follower may be.
const longestLag = time.Second

// allowance is how much more a measure may have at the end than after a quarter of the time: a share and an amount.
type allowance struct{ share, amount float64 }

var allowances = map[string]allowance{
	memory:     {0.15, 20},
	files:      {0, 30},
	threads:    {0.2, 10},
	goroutines: {0.2, 50},
	logDisk:    {0, 70}, // a segment has 64 MB
	snapDisk:   {0.3, 10},
}

// leftovers is how many files and goroutines an idle node may have more than before the load: connections to the backend
// and to other nodes that are kept for the next time. Of what clients have left behind there would be thousands.
const leftovers = 50

// row is one measure of one process.
type row struct {
	process, measure string
	idleBefore       float64
	early, late      float64 // means of the second and of the last quarter
	most             float64
	idleAfter        float64
}

func (r *row) problem() error {
	a, bounded := allowances[r.measure]
	if bounded && r.late > r.early*(1+a.share)+a.amount {
		return fmt.Errorf("%s: %s grew from %.0f to %.0f under load", r.process, r.measure, r.early, r.late)
	}
	if (r.measure == files || r.measure == goroutines) && r.idleAfter > r.idleBefore+leftovers {
		return fmt.Errorf("%s: %s: %.0f when idle before the load, %.0f behind it", r.process, r.measure, r.idleBefore, r.idleAfter)
	}
	return nil
}

// report shows what was measured, and returns what is not as it should be.
func (w *watch) report(out io.Writer, before, after look) error {
	var errs []error
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROCESS\tMEASURE\tIDLE BEFORE\tSECOND QUARTER\tLAST QUARTER\tMOST\tIDLE AFTER")
	for _, c := range w.clusters {
		for _, n := range c.Nodes {
			for _, process := range []string{n.Name, n.BackendProcess().Name} {
				for _, measure := range measures {
					r, ok := w.row(process, measure, before, after)
					if !ok {
						continue
					}
					fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\n", process, measure, r.idleBefore, r.early, r.late, r.most, r.idleAfter)
					errs = append(errs, r.problem())
				}
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, l := range w.lags {
		longest, usual := l.most()
		fmt.Fprintf(out, "%s: followers were less than %v behind, at 99 of 100 looks less than %v.\n",
			[]string{"Redis", "MariaDB"}[i], longest.Round(time.Millisecond), usual.Round(time.Millisecond))
		if usual > longestLag {
			errs = append(errs, fmt.Errorf("followers were %v behind at one of a hundred looks", usual))
		}
	}
	return errors.Join(errs...)
}

func (w *watch) row(process, measure string, before, after look) (row, bool) {
	r := row{process: process, measure: measure}
	_, ok := after.names[process][measure]
	if !ok || len(w.looks) == 0 {
		return r, false
	}
	r.idleBefore, r.idleAfter = before.names[process][measure], after.names[process][measure]
	quarter := func(n int) float64 {
		sum, looks := 0.0, w.looks[len(w.looks)*(n-1)/4:len(w.looks)*n/4]
		for _, l := range looks {
			sum += l.names[process][measure]
		}
		return sum / float64(max(1, len(looks)))
	}
	r.early, r.late = quarter(2), quarter(4)
	for _, l := range w.looks {
		r.most = max(r.most, l.names[process][measure])
	}
	return r, true
}
