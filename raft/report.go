package raft

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	pathStatus = "/nexus/v1/status"
	// reportTimeout is how long the others have to say how they are.
	reportTimeout = time.Second
)

// Report is what a member says of itself when another one asks.
type Report struct {
	Member Member `json:"member"`
	Status Status `json:"status"`
	// About is what Config.About of that member returned.
	About json.RawMessage `json:"about,omitempty"`
	// Problem is why the member said nothing, if it did not; everything but Member is zero then.
	Problem string `json:"problem,omitempty"`
}

// Reports asks all members how they are, and returns what they say by URL. A node that does not run knows only itself.
func (r *Replicator) Reports(ctx context.Context) []Report {
	if !r.isRunning() {
		return []Report{r.report()}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reportTimeout, &NoAnswerError{After: reportTimeout})
	defer cancel()
	members := r.Members()
	if !containsID(members, r.identity.ID) {
		members = append(members, Member{ID: r.identity.ID, URL: r.cfg.NodeURL})
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.URL, b.URL) })
	reports := make([]Report, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { reports[i] = r.askReport(ctx, m) })
	}
	wg.Wait()
	return reports
}

func (r *Replicator) askReport(ctx context.Context, m Member) Report {
	if m.ID == r.identity.ID {
		report := r.report()
		report.Member = m
		return report
	}
	var report Report
	if err := r.askPeer(ctx, m.URL, pathStatus, url.Values{}, &report); err != nil {
		var op *net.OpError
		problem := "does not answer: " + err.Error()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			problem = (&NoAnswerError{After: reportTimeout}).Error()
		case errors.As(err, &op):
			problem = "does not answer: " + op.Error()
		}
		return Report{Member: m, Problem: problem}
	}
	if report.Status.ID != m.ID {
		return Report{Member: m, Problem: "another node answers at this URL"}
	}
	report.Member = m
	return report
}

// AppliedByMajority asks the members, and returns up to where a majority of those that vote has applied the log.
func (r *Replicator) AppliedByMajority(ctx context.Context) uint64 {
	var applied []uint64
	for _, report := range r.Reports(ctx) {
		if !report.Member.Learner {
			applied = append(applied, report.Status.Applied)
		}
	}
	slices.Sort(applied)
	if len(applied) == 0 {
		return 0
	}
	return applied[(len(applied)-1)/2]
}

// AskLeader asks the leader how it is. ok is false where there is none, or no answer.
func (r *Replicator) AskLeader(ctx context.Context) (_ Status, ok bool) {
	m, known := r.membership.get(r.leader.Load())
	if !known || !r.isRunning() {
		return Status{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	report := r.askReport(ctx, m)
	return report.Status, report.Problem == ""
}

func (r *Replicator) report() Report {
	report := Report{Status: r.Status()}
	report.Member = Member{ID: report.Status.ID, URL: report.Status.URL}
	if r.cfg.About != nil {
		report.About = r.cfg.About()
	}
	return report
}

func (r *Replicator) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.report()) // the asker asks again
}
