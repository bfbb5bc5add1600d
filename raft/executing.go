package raft

import (
	"fmt"
	"time"
)

// executingAtLength is how long a backend has to execute something for that to be told.
const executingAtLength = time.Second

// Executing is what a backend was given and has been executing for a while. What comes behind it in the log waits.
type Executing struct {
	What string        `json:"what"`         // for people
	Of   string        `json:"of,omitempty"` // of what, by names that are the clients'; not for everybody
	For  time.Duration `json:"for"`          // in ns
}

// String tells it to people, without names of clients.
func (e *Executing) String() string {
	return fmt.Sprintf("%s for %v", e.What, e.For.Round(time.Second))
}

// executing returns what the backend has been executing for a while, or nil.
func (r *Replicator) executing() *Executing {
	begun := r.callBegun.Load()
	if begun == 0 {
		return nil
	}
	e := Executing{What: fmt.Sprintf("log entry %d", r.applied.Load()+1), For: r.leaseClock() - time.Duration(begun)}
	if x, ok := r.cfg.Store.(Explainer); ok {
		if what, of, since := x.Executing(); what != "" {
			e = Executing{What: what, Of: of, For: time.Since(since)}
		}
	}
	if e.For < executingAtLength {
		return nil
	}
	return &e
}

// executingText is that behind what is told of how far the backend is; "" for nothing.
func (r *Replicator) executingText() string {
	if e := r.executing(); e != nil {
		return ", and has been executing " + e.String()
	}
	return ""
}
