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

const progressPause = 300 * time.Millisecond

// follow shows how far the node at url is on its way into the cluster, until the returned function is called: as a bar
// on a terminal, else in a line whenever it changes.
func (s *session) follow(url string) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	b := s.newBar("", 1, false)
	var wg sync.WaitGroup
	wg.Go(func() {
		said := ""
		for {
			step := s.joining(ctx, strings.TrimSuffix(url, "/"))
			switch {
			case step.text == "":
			case b != nil:
				b.Describe(step.text)
				if step.commit > 0 {
					b.Reach(min(step.index, step.commit-1), step.commit) // a full bar would end
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

// joinStep is where a node is on its way.
type joinStep struct {
	text          string
	index, commit uint64 // of the log; 0 where that is not known
}

// joining tells what the asked node knows about the node at url; nothing while it does not know anything.
func (s *session) joining(ctx context.Context, url string) joinStep {
	st, err := s.client.Status(ctx, &nexuspb.StatusRequest{})
	if err != nil {
		return joinStep{}
	}
	for _, m := range st.GetMembers() {
		if m.GetUrl() != url {
			continue
		}
		if !m.GetLearner() {
			return joinStep{text: url + " votes."}
		}
		if index, ok := st.GetProgress()[m.GetId()]; ok && index > 0 {
			return joinStep{
				text:  fmt.Sprintf("%s is a learner and holds the log up to %d of %d.", url, index, st.GetCommit()),
				index: index, commit: st.GetCommit(),
			}
		}
		return joinStep{text: url + " is a learner and is sent what it lacks."}
	}
	return joinStep{text: fmt.Sprintf("Waiting for %s to answer.", url)}
}
