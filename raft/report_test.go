package raft

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func TestReports(t *testing.T) {
	c := newTestCluster(t, 3, func(cfg *Config) {
		url := cfg.NodeURL
		cfg.About = func() json.RawMessage { return json.RawMessage(`"` + url + `"`) }
	})
	c.propose(0, "k=v")
	c.converged()
	gone := (c.leader() + 1) % 3
	c.stop(gone)
	asked := (gone + 1) % 3
	reports := c.nodes[asked].Reports(context.Background())
	if len(reports) != 3 {
		t.Fatalf("%d reports: %+v", len(reports), reports)
	}
	for i, r := range reports {
		if i > 0 && r.Member.URL < reports[i-1].Member.URL {
			t.Error("not by URL")
		}
		if r.Member.URL == c.urls[gone] {
			if !strings.Contains(r.Problem, "does not answer") || r.Status.ID != 0 {
				t.Errorf("of the one that is gone: %+v", r)
			}
			continue
		}
		if r.Problem != "" || r.Status.URL != r.Member.URL || r.Status.ID != r.Member.ID || r.Status.Applied == 0 || string(r.About) != `"`+r.Member.URL+`"` {
			t.Errorf("got %+v", r)
		}
	}
}

func TestReportsBeforeTheStart(t *testing.T) {
	c := &testCluster{t: t, urls: []string{freeURL(t)}, stores: []*mapStore{newMapStore()}, dirs: []string{t.TempDir()}}
	r, err := New(c.config(0))
	if err != nil {
		t.Fatal(err)
	}
	reports := r.Reports(context.Background())
	if len(reports) != 1 || reports[0].Member.URL != c.urls[0] || reports[0].Status.Role != "starting" {
		t.Errorf("%+v", reports)
	}
}
