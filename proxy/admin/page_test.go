package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nexus-replication/nexus/raft"
)

// Without a script the page says all that matters; what comes from outside cannot become a part of it.
func TestStatusPage(t *testing.T) {
	node := newFakeNode()
	events := NewEvents(slog.DiscardHandler)
	slog.New(events).With("part", "raft").Warn("no snapshot", "err", "<script>alert(1)</script>")
	slog.New(events).Debug("not for the page")
	writes := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nexus_redis_writes_seconds", Help: "x"})
	writes.Observe(0.5)
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nexus_redis_commands_total", Help: "x"}, []string{"command"})
	commands.WithLabelValues("get").Add(3)
	commands.WithLabelValues("set").Add(4)
	kinds := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nexus_redis_commands_by_kind_total", Help: "x"}, []string{"kind"})
	kinds.WithLabelValues("read").Add(3)
	kinds.WithLabelValues("write").Add(4)
	server := NewHTTP(HTTPConfig{
		Node: node, Build: Build{Version: "v1"}, Events: events, Logger: slog.New(slog.DiscardHandler),
		Collectors: []prometheus.Collector{writes, commands, kinds},
	})
	h := server.http.Handler
	node.about = server.About()
	page := serve(h, "/")
	for _, want := range []string{
		">leader<", "http://127.0.0.1:9023", "unreachable", "no answer within 1s", "connection refused", `data-l="behind">3<`, `no snapshot</b><span class="dim"> part=raft err=&lt;script&gt;alert(1)&lt;/script&gt;`, "serving",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "not for the page") || strings.Contains(page, "<script>alert") {
		t.Error("the page shows what it must not")
	}

	var st pageStatus
	if err := json.Unmarshal([]byte(serve(h, "/status.json")), &st); err != nil {
		t.Fatal(err)
	}
	if len(st.Events) != 1 || len(st.Members) != 3 {
		t.Fatalf("got %+v", st)
	}
	want := activity{Reads: 3, Writes: 4, Commands: 7, WriteSeconds: 0.5, WritesTimed: 1}
	if got := st.Members[0]; got.Activity != want || !got.Self || !got.Serving || got.State != "ok" {
		t.Errorf("this node is %+v", got)
	}
	if got := st.Members[1]; got.Activity.Writes != 6 || got.Behind != 3 || got.Serving || got.Role != "learner" {
		t.Errorf("the one behind is %+v", got)
	}

	node.set(func(s *raft.Status) { s.Serving, s.Problem = false, "no leader" })
	if page := serve(h, "/"); !strings.Contains(page, "not serving") || !strings.Contains(page, "no leader") {
		t.Error("the page does not say that the node does not serve")
	}
}

func serve(h http.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Body.String()
}

func TestEventsKeepTheLast(t *testing.T) {
	events := NewEvents(slog.DiscardHandler)
	log := slog.New(events)
	for i := range maxEvents + 5 {
		log.Info("event", "n", i)
	}
	last := events.Last()
	if len(last) != maxEvents || last[0].Text != "event n=104" || last[maxEvents-1].Text != "event n=5" || last[0].Message != "event" || last[0].Attributes() != " n=104" {
		t.Errorf("%d events, from %q to %q", len(last), last[0].Text, last[len(last)-1].Text)
	}
	if events.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug messages are wanted though nobody writes them")
	}
}

// The times of MySQL clients are those of statements that read, and of those that wait for a majority.
func TestActivityOfMySQL(t *testing.T) {
	var list []prometheus.Collector
	for kind, seconds := range map[string]float64{"read": 1, "write": 2, "commit": 4, "set": 8} {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nexus_mysql_statements_seconds", Help: "x", ConstLabels: prometheus.Labels{"kind": kind}})
		h.Observe(seconds)
		list = append(list, h)
	}
	server := NewHTTP(HTTPConfig{Node: newFakeNode(), Logger: slog.New(slog.DiscardHandler), Collectors: list})
	want := activity{ReadSeconds: 1, ReadsTimed: 1, WriteSeconds: 6, WritesTimed: 2}
	if got := server.page.activity(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
