package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

const progressPause = 300 * time.Millisecond

// follow says, whenever it changes, how far the node at url is on its way into the cluster, until the returned function
// is called.
func (s *session) follow(url string) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		said := ""
		for {
			if text := s.joining(ctx, strings.TrimSuffix(url, "/")); text != "" && text != said {
				said = text
				fmt.Fprintln(s.progress, text)
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
	}
}

// joining tells what the asked node knows about the node at url; nothing while it does not know anything.
func (s *session) joining(ctx context.Context, url string) string {
	st, err := s.client.Status(ctx, &nexuspb.StatusRequest{})
	if err != nil {
		return ""
	}
	for _, m := range st.GetMembers() {
		if m.GetUrl() != url {
			continue
		}
		if !m.GetLearner() {
			return url + " votes."
		}
		if index, ok := st.GetProgress()[m.GetId()]; ok && index > 0 {
			return fmt.Sprintf("%s is a learner and holds the log up to %d of %d.", url, index, st.GetCommit())
		}
		return url + " is a learner and is sent what it lacks."
	}
	return fmt.Sprintf("Waiting for %s to answer.", url)
}
