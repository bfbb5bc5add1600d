package admin

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

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
	registry *prometheus.Registry
}

// pageStatus is what the page shows. The numbers of Totals only grow: the script makes rates of them.
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
	Totals   pageTotals   `json:"totals"`
	Events   []Event      `json:"events"`
}

type pageMember struct {
	ID   string `json:"id"`
	URL  string `json:"url"`
	Role string `json:"role"`
	// Behind is how many entries of the log the leader does not know it to hold; -1 where this node is not the leader.
	Behind int64 `json:"behind"`
	Self   bool  `json:"self"`
}

type pageTotals struct {
	Reads        uint64  `json:"reads"`
	ReadSeconds  float64 `json:"readSeconds"`
	Writes       uint64  `json:"writes"`
	WriteSeconds float64 `json:"writeSeconds"`
	Commands     float64 `json:"commands"`
	Clients      float64 `json:"clients"`
}

func (p *statusPage) serveHTML(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	if err := pageTemplate.Execute(w, p.status()); err != nil {
		p.cfg.Logger.Debug("write the status page", "err", err) // the browser is gone
	}
}

func (p *statusPage) serveJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := json.NewEncoder(w).Encode(p.status()); err != nil {
		p.cfg.Logger.Debug("write the status", "err", err)
	}
}

func (p *statusPage) status() pageStatus {
	st := p.cfg.Node.Status()
	out := pageStatus{
		Version: p.cfg.Build.Version, Cluster: st.ClusterName, ID: hexID(st.ID), URL: st.URL, Role: st.Role,
		Leader: st.LeaderURL(), Term: st.Term, Commit: st.Commit, Applied: st.Applied, Snapshot: st.Snapshot,
		Serving: st.Serving, Problem: problem(st), Totals: p.totals(), Events: p.cfg.Events.Last(),
	}
	for _, m := range st.Members {
		out.Members = append(out.Members, describeMember(m, &st))
	}
	slices.SortFunc(out.Members, func(a, b pageMember) int { return strings.Compare(a.URL, b.URL) })
	if st.Verified != nil {
		out.Verified = "all nodes were equal"
		if !st.Verified.Equal() {
			out.Verified = "NODES DIFFER, or were not compared"
		}
	}
	return out
}

func describeMember(m raft.Member, st *raft.Status) pageMember {
	out := pageMember{ID: hexID(m.ID), URL: m.URL, Role: "follower", Behind: -1, Self: m.ID == st.ID}
	switch {
	case m.Learner:
		out.Role = "learner"
	case m.ID == st.Leader:
		out.Role = "leader"
	}
	if match, ok := st.Progress[m.ID]; ok && out.Role == "leader" {
		out.Behind = 0 // what it knows of itself is as old as what it knows of the others
	} else if ok {
		out.Behind = int64(st.Commit - min(st.Commit, match))
	}
	return out
}

// totals takes the counters of whichever backend this is from its metrics.
func (p *statusPage) totals() pageTotals {
	var t pageTotals
	families, err := p.registry.Gather()
	if err != nil {
		p.cfg.Logger.Debug("gather metrics for the status page", "err", err)
	}
	for _, f := range families {
		switch name := f.GetName(); {
		case strings.HasSuffix(name, "_reads_seconds"):
			t.Reads, t.ReadSeconds = histogram(f)
		case strings.HasSuffix(name, "_writes_seconds"):
			t.Writes, t.WriteSeconds = histogram(f)
		case strings.HasSuffix(name, "_commands_total") && !strings.HasPrefix(name, "nexus_backend_"):
			for _, m := range f.GetMetric() {
				t.Commands += m.GetCounter().GetValue()
			}
		case name == "nexus_redis_clients", name == "nexus_mysql_clients":
			t.Clients = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return t
}

func hexID(id uint64) string { return strconv.FormatUint(id, 16) }

func histogram(f *dto.MetricFamily) (count uint64, sum float64) {
	h := f.GetMetric()[0].GetHistogram()
	return h.GetSampleCount(), h.GetSampleSum()
}
