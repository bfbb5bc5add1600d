package admin

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
	"github.com/nexus-replication/nexus/raft"
)

// about is what a node tells the others of itself, beside what raft knows. It is JSON, so that nodes of two versions
// understand each other.
type about struct {
	Version  string   `json:"version"`
	Activity activity `json:"activity"`
}

// activity is counted from the start of the program; only the clients are those of now.
type activity struct {
	Reads    uint64 `json:"reads"`
	Writes   uint64 `json:"writes"`
	Commands uint64 `json:"commands"`
	Clients  uint64 `json:"clients"`
	// Time that reads and writes took, and how many of them that counts: those of a pipeline once.
	ReadSeconds  float64 `json:"readSeconds"`
	ReadsTimed   uint64  `json:"readsTimed"`
	WriteSeconds float64 `json:"writeSeconds"`
	WritesTimed  uint64  `json:"writesTimed"`
}

// About is what the node says of itself to the others: see raft.Config.
func (s *HTTPServer) About() json.RawMessage {
	data, err := json.Marshal(about{Version: s.page.cfg.Build.Version, Activity: s.page.activity()})
	if err != nil {
		return nil // there is nothing in it that could not be written
	}
	return data
}

// aboutOf reads what a member said. Of a later version it may be something else, and is nothing then.
func aboutOf(r *raft.Report) (a about) {
	if json.Unmarshal(r.About, &a) != nil {
		return about{}
	}
	return a
}

// Cluster implements nexuspb.NexusServer.
func (s *service) Cluster(ctx context.Context, _ *nexuspb.ClusterRequest) (*nexuspb.ClusterResponse, error) {
	leader := s.cfg.Node.Status().Leader
	resp := &nexuspb.ClusterResponse{}
	for _, r := range s.cfg.Node.Reports(ctx) {
		m := r.Member
		node := &nexuspb.NodeReport{
			Member:  &nexuspb.Member{Id: m.ID, Url: m.URL, Learner: m.Learner, Leader: leader != 0 && m.ID == leader},
			Problem: sendable(r.Problem),
		}
		if r.Problem == "" {
			a := aboutOf(&r)
			node.Status = statusOf(r.Status, a.Version)
			node.Activity = &nexuspb.Activity{
				Reads: a.Activity.Reads, Writes: a.Activity.Writes,
				Commands: a.Activity.Commands, Clients: a.Activity.Clients,
				ReadSeconds: a.Activity.ReadSeconds, ReadsTimed: a.Activity.ReadsTimed,
				WriteSeconds: a.Activity.WriteSeconds, WritesTimed: a.Activity.WritesTimed,
			}
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp, nil
}

// activity takes the counters of whichever backend this is from its metrics.
func (p *statusPage) activity() activity {
	var t activity
	families, err := p.counters.Gather()
	if err != nil {
		p.cfg.Logger.Debug("gather metrics for the status page", "err", err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "nexus_redis_reads_seconds":
			t.ReadsTimed, t.ReadSeconds = histogram(f)
		case "nexus_redis_writes_seconds":
			t.WritesTimed, t.WriteSeconds = histogram(f)
		case "nexus_redis_commands_total":
			t.Commands = counter(f, "")
		case "nexus_redis_commands_by_kind_total":
			t.Reads, t.Writes = counter(f, "read"), counter(f, "write")
		case "nexus_mysql_statements_seconds":
			t.ReadsTimed, t.ReadSeconds = histogram(f, "read")
			t.WritesTimed, t.WriteSeconds = histogram(f, "write", "commit")
		case "nexus_mysql_reads_total":
			t.Reads = counter(f, "")
		case "nexus_mysql_commits_total":
			t.Writes = counter(f, "")
		case "nexus_redis_clients", "nexus_mysql_clients":
			t.Clients = uint64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Commands = max(t.Commands, t.Reads+t.Writes)
	return t
}

// counter adds up the series of a family whose one label has a value; all of them without one.
func counter(f *dto.MetricFamily, label string) uint64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		if label == "" || m.GetLabel()[0].GetValue() == label {
			sum += m.GetCounter().GetValue()
		}
	}
	return uint64(sum)
}

// histogram adds up the series of a family whose one label has one of the values; all of them without any.
func histogram(f *dto.MetricFamily, labels ...string) (count uint64, sum float64) {
	for _, m := range f.GetMetric() {
		if len(labels) > 0 && !slices.Contains(labels, m.GetLabel()[0].GetValue()) {
			continue
		}
		count += m.GetHistogram().GetSampleCount()
		sum += m.GetHistogram().GetSampleSum()
	}
	return count, sum
}

// counters gathers the collectors of the datastore alone: those of the Go runtime stop it for a moment.
func counters(list []prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(list...)
	return r
}
