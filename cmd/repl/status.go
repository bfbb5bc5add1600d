package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// nodeStatus is a status as JSON shows it.
type nodeStatus struct {
	Version     string            `json:"version"`
	ClusterName string            `json:"clusterName"`
	Cluster     string            `json:"cluster"`
	ID          string            `json:"id"`
	URL         string            `json:"url"`
	Role        string            `json:"role"`
	Serving     bool              `json:"serving"`
	Problem     string            `json:"problem,omitempty"`
	Leader      string            `json:"leader"` // empty: none known
	Term        uint64            `json:"term"`
	Commit      uint64            `json:"commit"`
	Applied     uint64            `json:"applied"`
	Snapshot    uint64            `json:"snapshot"` // 0: none
	Quarantined bool              `json:"quarantined"`
	LeaseMillis int64             `json:"leaseMillis"`
	Members     []member          `json:"members"`
	Progress    map[string]uint64 `json:"progress,omitempty"`
}

func (s *session) status([]string) error {
	st, err := s.client.Status(s.ctx, &nexuspb.StatusRequest{})
	if err != nil {
		return describe(err, false)
	}
	if s.json {
		return s.printJSON(jsonStatus(st))
	}
	_, err = io.WriteString(s.out, statusText(st))
	return err
}

func jsonStatus(st *nexuspb.StatusResponse) nodeStatus {
	js := nodeStatus{
		Version:     st.GetVersion(),
		ClusterName: st.GetClusterName(),
		Cluster:     hex(st.GetCluster()),
		ID:          hex(st.GetId()),
		URL:         st.GetUrl(),
		Role:        st.GetRole(),
		Serving:     st.GetServing(),
		Problem:     st.GetProblem(),
		Term:        st.GetTerm(),
		Commit:      st.GetCommit(),
		Applied:     st.GetApplied(),
		Snapshot:    st.GetSnapshot(),
		Quarantined: st.GetQuarantined(),
		LeaseMillis: st.GetLeaseMs(),
		Members:     jsonMembers(st.GetMembers()),
	}
	if st.GetLeader() != 0 {
		js.Leader = hex(st.GetLeader())
	}
	if len(st.GetProgress()) > 0 {
		js.Progress = make(map[string]uint64)
		for id, index := range st.GetProgress() {
			js.Progress[hex(id)] = index
		}
	}
	return js
}

func statusText(st *nexuspb.StatusResponse) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	line("Node:", fmt.Sprintf("%s %s", hex(st.GetId()), st.GetUrl()))
	line("Cluster:", fmt.Sprintf("%s %s", hex(st.GetCluster()), st.GetClusterName()))
	line("Version:", st.GetVersion())
	line("Role:", st.GetRole())
	if st.GetServing() {
		line("Serving:", "yes")
	} else {
		line("Serving:", "no: "+st.GetProblem())
	}
	line("Leader:", leaderText(st))
	line("Term:", st.GetTerm())
	line("Committed:", st.GetCommit())
	line("Applied:", st.GetApplied())
	if index := st.GetSnapshot(); index > 0 {
		line("Snapshot:", index)
	}
	if lease := st.GetLeaseMs(); lease > 0 {
		line("Lease:", time.Duration(lease)*time.Millisecond)
	}
	_ = w.Flush() // into memory
	b.WriteString("Members:\n")
	for _, m := range st.GetMembers() {
		text := strings.TrimSuffix(memberLines([]*nexuspb.Member{m}), "\n")
		if index, ok := st.GetProgress()[m.GetId()]; ok {
			text += fmt.Sprintf(", holds the log up to %d", index)
		}
		b.WriteString("  " + text + "\n")
	}
	return b.String()
}

func leaderText(st *nexuspb.StatusResponse) string {
	if st.GetLeader() == 0 {
		return "none known"
	}
	for _, m := range st.GetMembers() {
		if m.GetId() == st.GetLeader() {
			return hex(m.GetId()) + " " + m.GetUrl()
		}
	}
	return hex(st.GetLeader())
}
