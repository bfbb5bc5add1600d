package raft

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// leaderOf answers the requests to a leader.
type leaderOf func(*http.Request) (*http.Response, error)

func (l leaderOf) RoundTrip(req *http.Request) (*http.Response, error) { return l(req) }

// A node that asks to be removed may learn from the log that it was, before the leader answers.
func TestRemovingItselfSucceedsWithoutAnAnswer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		asked int // the node to remove
		fails error
		ok    bool
	}{
		{"removed", 0, ErrRemoved, true},
		{"stopped", 0, errors.New("stop"), false},
		{"another was to be removed", 1, ErrRemoved, false},
	} {
		c := &testCluster{t: t, urls: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, dirs: []string{t.TempDir(), ""}, stores: []*mapStore{newMapStore(), nil}}
		r, err := New(c.config(0))
		if err != nil {
			t.Fatal(err)
		}
		r.membership.put(Member{ID: 7, URL: c.urls[1]})
		r.leader.Store(7)
		close(r.running)
		r.client.Transport = leaderOf(func(req *http.Request) (*http.Response, error) {
			r.cancel(fmt.Errorf("%w: %w", ErrStopped, tc.fails))
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})
		if err := r.RemoveMember(t.Context(), c.urls[tc.asked]+"/", false); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := r.RemoveMember(t.Context(), c.urls[0], false); err == nil {
			t.Errorf("%s: removed again", tc.name)
		}
	}
}
