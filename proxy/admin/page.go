package admin

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nexus-replication/nexus/raft"
)

//go:embed page.html
var pageFiles embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05") },
}).ParseFS(pageFiles, "page.html"))

// statusPage shows a node to a person: a table that needs no script, and charts where there is one.
type statusPage struct {
	cfg      HTTPConfig
	counters *prometheus.Registry

	// The others are asked once for all who look at the page.
	mu      sync.Mutex
	reports []raft.Report
	asked   time.Time
}

// reportsKept is how long the answers of the others are shown.
const reportsKept = time.Second

func newStatusPage(cfg HTTPConfig) *statusPage {
	return &statusPage{cfg: cfg, counters: counters(cfg.Collectors)}
}

// pageStatus is what the page shows.
type pageStatus struct {
	Version  string       `json:"version"`
	Cluster  string       `json:"cluster"`
	ID       string       `json:"id"`
	URL      string       `json:"url"`
	Role     string       `json:"role"`
	Leader   string       `json:"leader"`
	Term     uint64       `json:"term"`
	Commit   uint64       `json:"commit"`
	Applied  uint64       `json:"applied"`
	Snapshot uint64       `json:"snapshot"`
	Serving  bool         `json:"serving"`
	Problem  string       `json:"problem"`
	Members  []pageMember `json:"members"`
	Verified string       `json:"verified"`
	Events   []Event      `json:"events"`
}

// Healthy is how many members serve.
func (s pageStatus) Healthy() (n int) {
	for i := range s.Members {
		if s.Members[i].Serving {
			n++
		}
	}
	return n
}

// pageMember is a member as it describes itself. The numbers of Activity only grow: the script makes rates of them.
type pageMember struct {
	ID      string `json:"id"`
	URL     string `json:"url"`
	Self    bool   `json:"self"`
	Role    string `json:"role"` // unreachable for one that does not answer
	Term    uint64 `json:"term"`
	Applied uint64 `json:"applied"`
	// Behind is how many entries are committed somewhere and not applied there.
	Behind   uint64   `json:"behind"`
	Serving  bool     `json:"serving"`
	State    string   `json:"state"` // of the member and its backend
	Activity activity `json:"activity"`
}

// Answers is false for one that does not answer: nothing is known of it then.
func (m pageMember) Answers() bool { return m.Role != unreachable }

// unreachable is the role of a member that does not answer.
const unreachable = "unreachable"

func (p *statusPage) serveHTML(w http.ResponseWriter, req *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	if err := pageTemplate.Execute(w, p.status(req.Context())); err != nil {
		p.cfg.Logger.Debug("write the status page", "err", err) // the browser is gone
	}
}

func (p *statusPage) serveJSON(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := json.NewEncoder(w).Encode(p.status(req.Context())); err != nil {
		p.cfg.Logger.Debug("write the status", "err", err)
	}
}

func (p *statusPage) status(ctx context.Context) pageStatus {
	st := p.cfg.Node.Status()
	out := pageStatus{
		Version: p.cfg.Build.Version, Cluster: st.ClusterName, ID: hexID(st.ID), URL: st.URL, Role: st.Role,
		Leader: st.LeaderURL(), Term: st.Term, Commit: st.Commit, Applied: st.Applied, Snapshot: st.Snapshot,
		Serving: st.Serving, Problem: problem(st), Events: p.cfg.Events.Last(),
	}
	reports := p.ask(ctx)
	for i := range reports {
		out.Members = append(out.Members, describeMember(&reports[i], st.ID, highestCommit(reports)))
	}
	if st.Verified != nil {
		switch {
		case st.Verified.Equal():
			out.Verified = "all nodes were equal"
		case st.Verified.Differs():
			out.Verified = "NODES DIFFER"
		default:
			out.Verified = "not all nodes could be compared; those that were are equal"
		}
	}
	return out
}

// ask asks the members, or returns what they have said just before.
func (p *statusPage) ask(ctx context.Context) []raft.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.asked) >= reportsKept {
		p.reports, p.asked = p.cfg.Node.Reports(ctx), now
	}
	return p.reports
}

func highestCommit(reports []raft.Report) (highest uint64) {
	for i := range reports {
		highest = max(highest, reports[i].Status.Commit)
	}
	return highest
}

func describeMember(r *raft.Report, self, commit uint64) pageMember {
	m := pageMember{ID: hexID(r.Member.ID), URL: r.Member.URL, Self: r.Member.ID == self}
	if r.Problem != "" {
		m.Role, m.State = unreachable, r.Problem
		return m
	}
	st := &r.Status
	m.Role, m.Term, m.Applied, m.Serving = st.Role, st.Term, st.Applied, st.Serving
	m.Behind = commit - min(commit, st.Applied)
	m.State = "ok"
	if !st.Serving {
		m.State = problem(*st)
	}
	if st.Executing != nil && !strings.Contains(m.State, st.Executing.What) {
		m.State += "; executing " + st.Executing.String()
	}
	m.Activity = aboutOf(r).Activity
	return m
}

func hexID(id uint64) string { return fmt.Sprintf("%016x", id) }
