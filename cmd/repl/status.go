package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	// Nodes are all members, as each describes itself.
	Nodes []nodeRow `json:"nodes"`
}

// nodeRow is a member in a table of all, as JSON shows it.
type nodeRow struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	Role     string `json:"role"` // unreachable for one that does not answer
	Term     uint64 `json:"term"`
	Applied  uint64 `json:"applied"`
	Behind   uint64 `json:"behind"`
	Snapshot uint64 `json:"snapshot"`
	Version  string `json:"version"`
	Serving  bool   `json:"serving"`
	State    string `json:"state"`
	// Executing is what the backend has been executing for more than a second; what comes behind it waits.
	Executing *executing `json:"executing,omitempty"`
}

// executing is what a backend executes at length, as JSON shows it.
type executing struct {
	What    string  `json:"what"`
	Of      string  `json:"of,omitempty"` // tables whose rows are changed
	Seconds float64 `json:"seconds"`
}

// behind is what the table has behind the state of a node, which may tell a part of it.
func (e *executing) behind(state string) (text string) {
	if !strings.Contains(state, e.What) {
		text = fmt.Sprintf("; executing %s for %v", e.What, time.Duration(e.Seconds*float64(time.Second)).Round(time.Second))
	}
	if e.Of != "" {
		text += ", of " + e.Of
	}
	return text
}

// seen is what one look at the cluster shows.
type seen struct {
	asked *nexuspb.StatusResponse
	nodes []*nexuspb.NodeReport
	at    time.Time
}

// lookTimeout is how long a node has to say how all are.
const lookTimeout = 10 * time.Second

// look asks a node for itself and for all members. One of an earlier version knows only itself.
func (s *session) look() (*seen, error) {
	ctx, cancel := context.WithTimeout(s.ctx, lookTimeout)
	defer cancel()
	st, err := s.client.Status(ctx, &nexuspb.StatusRequest{})
	if err != nil {
		return nil, describe(err, false)
	}
	resp, err := s.client.Cluster(ctx, &nexuspb.ClusterRequest{})
	at := time.Now()
	if status.Code(err) == codes.Unimplemented {
		return &seen{asked: st, nodes: alone(st), at: at}, nil
	}
	if err != nil {
		return nil, describe(err, false)
	}
	return &seen{asked: st, nodes: resp.GetNodes(), at: at}, nil
}

func alone(st *nexuspb.StatusResponse) []*nexuspb.NodeReport {
	var nodes []*nexuspb.NodeReport
	for _, m := range st.GetMembers() {
		n := &nexuspb.NodeReport{Member: m, Problem: "not asked: the version of " + st.GetUrl() + " does not ask others"}
		if m.GetId() == st.GetId() {
			n.Problem, n.Status = "", st
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func (s *session) status([]string) error {
	view, err := s.look()
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(jsonStatus(view))
	}
	_, err = io.WriteString(s.out, statusText(view, s.coloured))
	return err
}

func jsonStatus(view *seen) nodeStatus {
	st := view.asked
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
		Nodes:       view.rows(),
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

// rows are the members in the order in which they came.
func (v *seen) rows() []nodeRow {
	var commit uint64
	for _, n := range v.nodes {
		commit = max(commit, n.GetStatus().GetCommit())
	}
	rows := make([]nodeRow, 0, len(v.nodes))
	for _, n := range v.nodes {
		row := nodeRow{ID: hex(n.GetMember().GetId()), URL: n.GetMember().GetUrl()}
		if st := n.GetStatus(); st == nil {
			row.Role, row.State = "unreachable", n.GetProblem()
		} else {
			row.Role, row.Term, row.Applied = st.GetRole(), st.GetTerm(), st.GetApplied()
			row.Behind = commit - min(commit, st.GetApplied())
			row.Snapshot, row.Version, row.Serving, row.State = st.GetSnapshot(), st.GetVersion(), st.GetServing(), "ok"
			if !st.GetServing() {
				row.State = st.GetProblem()
			}
			if e := st.GetExecuting(); e != nil {
				row.Executing = &executing{What: e.GetWhat(), Of: e.GetOf(), Seconds: float64(e.GetForMs()) / 1000}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func statusText(view *seen, coloured bool) string {
	st := view.asked
	var b strings.Builder
	fmt.Fprintf(&b, "Cluster %s (%s), asked %s\n", st.GetClusterName(), hex(st.GetCluster()), st.GetUrl())
	if st.GetServing() {
		b.WriteString(writeTable([][]cell{{{text: "Serving:", colour: dim}, {text: "yes", colour: green}}}, coloured))
	} else {
		b.WriteString(writeTable([][]cell{{{text: "Serving:", colour: dim}, {text: "no: " + st.GetProblem(), colour: red}}}, coloured))
	}
	if lease := st.GetLeaseMs(); lease > 0 {
		b.WriteString(writeTable([][]cell{{{text: "Lease:", colour: dim}, {text: (time.Duration(lease) * time.Millisecond).String()}}}, coloured))
	}
	table := [][]cell{heads("NODE URL", "ID", "ROLE", ">TERM", ">APPLIED", ">BEHIND", ">SNAPSHOT", "VERSION", "STATE OF NODE AND BACKEND")}
	for _, row := range view.rows() {
		if row.Role == "unreachable" {
			table = append(table, []cell{
				{text: row.URL}, {text: row.ID, colour: dim}, {text: row.Role, colour: red}, right("-"), right("-"), right("-"), right("-"),
				{text: "-"}, {text: row.State, colour: red},
			})
			continue
		}
		table = append(table, []cell{
			{text: row.URL}, {text: row.ID, colour: dim}, {text: row.Role, colour: roleColour(row.Role)}, right(number(row.Term)),
			right(number(row.Applied)), behind(row.Behind), right(numberOr(row.Snapshot, "none")), {text: row.Version},
			stateCell(&row),
		})
	}
	b.WriteString(writeTable(table, coloured))
	return b.String()
}

// heads are the cells of the first line; those with a ">" belong to numbers.
func heads(names ...string) []cell {
	row := make([]cell, len(names))
	for i, name := range names {
		text, isNumber := strings.CutPrefix(name, ">")
		row[i] = cell{text: text, right: isNumber, colour: bold}
	}
	return row
}

func right(text string) cell { return cell{text: text, right: true} }

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func numberOr(n uint64, none string) string {
	if n == 0 {
		return none
	}
	return number(n)
}

// manyBehind is what a member that works may be behind at a moment.
const manyBehind = 1000

func behind(n uint64) cell {
	c := right(number(n))
	if n > manyBehind {
		c.colour = yellow
	}
	return c
}

func roleColour(role string) colour {
	switch role {
	case "leader":
		return bold
	case "follower":
		return plain
	}
	return yellow
}

// stateCell is the state of a member that answers, and what its backend executes at length.
func stateCell(row *nodeRow) cell {
	c := cell{text: row.State, colour: stateColour(row.Serving)}
	if row.Executing != nil {
		c.text += row.Executing.behind(row.State)
		if row.Serving {
			c.colour = yellow
		}
	}
	return c
}

func stateColour(serving bool) colour {
	if serving {
		return green
	}
	return red
}
