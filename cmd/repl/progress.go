package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/progress"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// newBar shows something of a size, -1 if that is not known, where a person looks.
func (s *session) newBar(what string, size int64, bytes bool) *progress.Bar {
	if s.json {
		return nil
	}
	return progress.Start(s.progress, what, size, bytes)
}

const (
	progressPause = 300 * time.Millisecond
	// silence is how long a node that joins is not heard before that is told.
	silence = 2 * time.Second
)

// follow shows how far the node at url is on its way into the cluster, until the returned function is called: as a bar
// on a terminal, else in a line whenever it changes. With replaces, who votes there at first is the one to be replaced.
func (s *session) follow(url string, replaces bool) (stop func()) {
	if s.json {
		return func() {} // a program reads what comes on both streams
	}
	ctx, cancel := context.WithCancel(s.ctx)
	b, unit := s.newBar("", -1, false), ofNothing
	var wg sync.WaitGroup
	wg.Go(func() {
		said := ""
		j := join{url: strings.TrimSuffix(url, "/"), replaces: replaces}
		for {
			step := s.joining(ctx, &j)
			switch {
			case step.text == "":
			case b != nil:
				if step.of > 0 && unit != step.unit {
					b.Close()
					b, unit = s.newBar(step.text, 1, step.unit == ofBytes), step.unit
				}
				b.Describe(step.text)
				if step.of > 0 {
					b.Reach(min(step.done, step.of-1), step.of) // a full bar would end
				}
			case step.text != said:
				said = step.text
				fmt.Fprintln(s.progress, step.text)
			}
			select {
			case <-time.After(progressPause):
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
		b.Close()
	}
}

// join is a node on its way into the cluster.
type join struct {
	url      string
	replaces bool
	old      uint64 // id of the voter at url that it replaces, or 0
	looked   bool
	silent   time.Time // since when the learner has not answered; zero while it does
}

// joinStep is where a node is on its way.
type joinStep struct {
	text     string
	unit     unit
	done, of uint64 // 0 where that is not known
}

// unit is what is counted of a step.
type unit int

const (
	ofNothing unit = iota
	ofBytes        // of a snapshot
	ofEntries      // of the log
)

// joining tells what the asked node knows about the node that joins; nothing while it does not know anything.
func (s *session) joining(ctx context.Context, j *join) joinStep {
	st, err := s.client.Status(ctx, &nexuspb.StatusRequest{})
	if err != nil {
		return joinStep{}
	}
	waiting := joinStep{text: fmt.Sprintf("Waiting for %s to answer.", j.url)}
	m := memberAt(st.GetMembers(), j.url)
	if j.replaces && !j.looked && m != nil && !m.GetLearner() {
		j.old = m.GetId()
	}
	j.looked = true
	switch {
	case m == nil:
		return waiting
	case m.GetId() == j.old:
		return joinStep{text: fmt.Sprintf("Waiting for the new node at %s to answer; the old one is a member still.", j.url)}
	case !m.GetLearner():
		return joinStep{text: j.url + " votes."}
	}
	nodes := s.reports(ctx)
	if problem := j.problem(nodes, m.GetId(), time.Now()); problem != "" {
		return joinStep{text: fmt.Sprintf("%s is a learner and does not answer since %s: %s. It is waited for.",
			j.url, j.silent.Format(time.TimeOnly), problem)}
	}
	leading := leaderOf(st, nodes)
	if sending, ok := leading.GetSending()[m.GetId()]; ok && sending.GetSize() > 0 {
		const mega = 1e6
		return joinStep{
			text: fmt.Sprintf("%s is a learner and is sent a snapshot: %d %% of %.1f MB.", j.url,
				100*sending.GetSent()/sending.GetSize(), float64(sending.GetSize())/mega),
			unit: ofBytes, done: sending.GetSent(), of: sending.GetSize(),
		}
	}
	if index, ok := leading.GetProgress()[m.GetId()]; ok && index > 0 {
		return joinStep{
			text: fmt.Sprintf("%s is a learner and holds the log up to %d of %d.", j.url, index, leading.GetCommit()),
			unit: ofEntries, done: index, of: leading.GetCommit(),
		}
	}
	return joinStep{text: j.url + " is a learner and is sent what it lacks."}
}

// reports returns what all members say of themselves, as the asked node hears it; nothing where it is of a former version.
func (s *session) reports(ctx context.Context) []*nexuspb.NodeReport {
	resp, err := s.client.Cluster(ctx, &nexuspb.ClusterRequest{})
	if err != nil {
		return nil
	}
	return resp.GetNodes()
}

// problem returns why the learner with an id is not heard, once that has lasted.
func (j *join) problem(nodes []*nexuspb.NodeReport, id uint64, now time.Time) string {
	problem := ""
	for _, n := range nodes {
		if n.GetMember().GetId() == id {
			problem = n.GetProblem()
		}
	}
	switch {
	case problem == "":
		j.silent = time.Time{}
	case j.silent.IsZero():
		j.silent = now
	}
	if problem == "" || now.Sub(j.silent) < silence {
		return ""
	}
	return strings.TrimPrefix(problem, "does not answer: ")
}

// leaderOf returns what the leader says of itself, who alone knows how far others are, or else what the asked node says.
func leaderOf(asked *nexuspb.StatusResponse, nodes []*nexuspb.NodeReport) *nexuspb.StatusResponse {
	if asked.GetLeader() == asked.GetId() {
		return asked
	}
	for _, n := range nodes {
		if st := n.GetStatus(); st != nil && st.GetId() == asked.GetLeader() {
			return st
		}
	}
	return asked
}

func memberAt(members []*nexuspb.Member, url string) *nexuspb.Member {
	for _, m := range members {
		if m.GetUrl() == url {
			return m
		}
	}
	return nil
}

// tellFilling says where the node at url, which votes now, does not serve yet. That it cannot be told is no failure.
func (s *session) tellFilling(url string) {
	url = strings.TrimSuffix(url, "/")
	resp, err := s.client.Cluster(s.ctx, &nexuspb.ClusterRequest{})
	if err != nil || s.json {
		return
	}
	for _, n := range resp.GetNodes() {
		if st := n.GetStatus(); st != nil && n.GetMember().GetUrl() == url && !st.GetServing() {
			fmt.Fprintf(s.progress, "%s votes, but does not serve yet: %s. It goes on by itself; repl HOST:PORT status, asked of any node, shows how far it is.\n", url, st.GetProblem())
		}
	}
}
