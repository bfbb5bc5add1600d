package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
)

const infoNexus = "nexus"

// ask runs one command on the backend, without a barrier, and returns its reply: for what is about the backend and not
// about its data.
func (s *Server) ask(args ...string) ([]byte, error) { return s.askAs(backend.RESP2, args...) }

// askAs is ask with the reply in a protocol.
func (s *Server) askAs(p backend.Protocol, args ...string) ([]byte, error) {
	return s.askIn(p, 0, args...)
}

// askIn is askAs in a database.
func (s *Server) askIn(p backend.Protocol, db int, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.cfg.Timeout, &raft.NoAnswerError{After: s.cfg.Timeout})
	defer cancel()
	reply, done, err := s.backend.ReadAs(ctx, p, db, appendRequest(nil, args...), 1)
	if err != nil {
		return nil, err
	}
	if done != 1 {
		return nil, errors.New("the backend's reply is too large")
	}
	return reply, nil
}

// backendVersion returns the version of the backend; it is asked once.
func (s *Server) backendVersion() (string, error) {
	if v := s.version.Load(); v != nil {
		return *v, nil
	}
	reply, err := s.ask("INFO", "server")
	if err != nil {
		return "", fmt.Errorf("version of the backend: %w", err)
	}
	text, _ := replyBulk(reply)
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			v = strings.TrimSpace(v)
			s.version.Store(&v)
			return v, nil
		}
	}
	return "", errors.New("version of the backend: INFO has no redis_version")
}

// cmdInfo answers with the backend's INFO, made to describe the node: the reserved database and the backend's own
// replication and paths left out, and a section on the cluster added.
func (s *session) cmdInfo(dst []byte, args [][]byte) []byte {
	request := []string{"INFO"}
	nexus := len(args) == 1
	for _, a := range args[1:] {
		switch section := strings.ToLower(string(a)); section {
		case infoNexus:
			nexus = true
			continue
		case "all", "everything", "default":
			nexus = true
		}
		request = append(request, string(a))
	}
	var text []byte
	if len(request) > 1 || len(args) == 1 {
		reply, err := s.srv.ask(request...)
		if err != nil {
			return appendError(dst, readErrorText(err))
		}
		body, ok := replyBulk(reply)
		if !ok {
			return append(dst, reply...)
		}
		text = s.srv.rewriteInfo(body)
	}
	if nexus {
		if len(text) > 0 {
			text = append(text, "\r\n"...)
		}
		text = appendInfoNexus(text, s.srv.rep.Status(), s.srv.cfg.Version)
	}
	return s.appendText(dst, text)
}

// ownSections are those of which the backend's lines are left out.
var ownSections = []string{"Replication", "Commandstats", "Errorstats", "Latencystats"}

// rewriteInfo returns the sections of the backend as those of the node.
func (s *Server) rewriteInfo(text []byte) []byte {
	out := make([]byte, 0, len(text)+512)
	section := ""
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte("# ")); ok {
			section = string(bytes.TrimSpace(name))
			out = append(out, line...)
			switch section {
			case "Replication":
				out = appendInfoReplication(out, s.rep.Status())
			case "Commandstats":
				out = s.appendCommandStats(out)
			case "Errorstats":
				out = s.metrics.errors.append(out)
			case "Latencystats":
				out = s.appendLatencyStats(out)
			}
			continue
		}
		if slices.Contains(ownSections, section) && len(bytes.TrimSpace(line)) > 0 {
			continue
		}
		out = s.appendInfoLine(out, line)
	}
	return out
}

// appendInfoLine appends a line, changed where it speaks of the backend's surroundings.
func (s *Server) appendInfoLine(out, line []byte) []byte {
	name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
	if !ok {
		return append(out, line...)
	}
	switch key := string(name); key {
	case "executable", "config_file":
		return append(append(out, key...), ":\r\n"...)
	case "tcp_port":
		return fmt.Appendf(out, "tcp_port:%d\r\n", s.port.Load())
	case "connected_clients":
		return fmt.Appendf(out, "connected_clients:%d\r\n", s.Stats().Clients)
	case "total_error_replies":
		return fmt.Appendf(out, "total_error_replies:%d\r\n", s.metrics.errors.sum())
	case "blocked_clients":
		return fmt.Appendf(out, "blocked_clients:%d\r\n", int64(s.Stats().Blocked)+s.blocked.Load())
	case "number_of_cached_scripts":
		if n, ok := s.cachedScripts(); ok {
			return fmt.Appendf(out, "number_of_cached_scripts:%d\r\n", n)
		}
	case "rdb_changes_since_last_save":
		if n, ok := parseInt(value); ok {
			return fmt.Appendf(out, "rdb_changes_since_last_save:%d\r\n", s.changes.ofClients(n, int64(s.backend.MarkerWrites())))
		}
	case "rdb_bgsave_in_progress", "rdb_last_save_time", "rdb_last_bgsave_status":
		return fmt.Appendf(out, "%s:%s\r\n", key, s.infoSaving(key))
	case "tracking_clients":
		return fmt.Appendf(out, "tracking_clients:%d\r\n", s.tracker.counts().clients)
	case "tracking_total_keys":
		return fmt.Appendf(out, "tracking_total_keys:%d\r\n", s.tracker.counts().keys)
	case "tracking_total_items":
		return fmt.Appendf(out, "tracking_total_items:%d\r\n", s.tracker.counts().items)
	case "tracking_total_prefixes":
		return fmt.Appendf(out, "tracking_total_prefixes:%d\r\n", s.tracker.counts().prefixes)
	case "maxmemory":
		return fmt.Appendf(out, "maxmemory:%d\r\n", s.backend.MemoryLimit())
	case "maxmemory_human":
		return fmt.Appendf(out, "maxmemory_human:%s\r\n", humanBytes(s.backend.MemoryLimit()))
	case "evicted_keys":
		return fmt.Appendf(out, "evicted_keys:%d\r\n", s.backend.Evicted()-s.metrics.evictedBefore.Load())
	case "expired_keys":
		return fmt.Appendf(out, "expired_keys:%d\r\n", s.backend.Expired()-s.metrics.expiredBefore.Load())
	case "maxclients":
		return fmt.Appendf(out, "maxclients:%d\r\n", s.cfg.Limits.MaxConns)
	case "db" + strconv.Itoa(s.cfg.ReservedDB):
		return out
	default:
		if len(key) > 2 && key[:2] == "db" && bytes.HasPrefix(value, []byte("keys=")) {
			return append(append(append(append(out, key...), ':'), unshiftTTL(value)...), "\r\n"...)
		}
	}
	return append(out, line...)
}

// humanBytes writes a size as Redis does.
func humanBytes(n int64) string {
	units := "BKMGTP"
	size, unit := float64(n), 0
	for ; size >= 1024 && unit < len(units)-1; unit++ {
		size /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.2f%c", size, units[unit])
}

// cachedScripts returns how many scripts EVALSHA knows: they are data of the cluster, the backend has none in its cache.
func (s *Server) cachedScripts() (n int64, ok bool) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	reply, _, err := s.backend.ReadAs(ctx, backend.RESP2, s.cfg.ReservedDB, script.CountScripts(), 1)
	if err != nil {
		return 0, false
	}
	return replyInt(reply)
}

// unshiftTTL corrects avg_ttl in a line of the keyspace: the backend's deadlines are shifted.
func unshiftTTL(value []byte) []byte {
	head, tail, ok := bytes.Cut(value, []byte("avg_ttl="))
	if !ok {
		return value
	}
	end := bytes.IndexByte(tail, ',')
	if end < 0 {
		end = len(tail)
	}
	ttl, ok := parseInt(tail[:end])
	if !ok {
		return value
	}
	out := append(slices.Clone(head), "avg_ttl="...)
	out = strconv.AppendInt(out, max(ttl-backend.ShiftMillis, 0), 10)
	return append(out, tail[end:]...)
}

// appendInfoReplication describes a master without replicas, which is what every node is to a client. The replication
// id is the cluster's, and the offset is the applied index: clients compare both.
func appendInfoReplication(out []byte, st raft.Status) []byte {
	return fmt.Appendf(out, "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n"+
		"master_replid:%040x\r\nmaster_replid2:%040d\r\nmaster_repl_offset:%d\r\nsecond_repl_offset:-1\r\n"+
		"repl_backlog_active:0\r\nrepl_backlog_size:1048576\r\nrepl_backlog_first_byte_offset:0\r\nrepl_backlog_histlen:0\r\n",
		st.Cluster, 0, st.Applied)
}

func appendInfoNexus(out []byte, st raft.Status, version string) []byte {
	serving := 0
	if st.Serving {
		serving = 1
	}
	out = fmt.Appendf(out, "# Nexus\r\nnexus_cluster:%s\r\nnexus_cluster_id:%016x\r\nnexus_node_id:%016x\r\nnexus_url:%s\r\n"+
		"nexus_role:%s\r\nnexus_leader_id:%016x\r\nnexus_leader_url:%s\r\nnexus_term:%d\r\nnexus_commit:%d\r\nnexus_applied:%d\r\n"+
		"nexus_serving:%d\r\nnexus_problem:%s\r\nnexus_version:%s\r\nnexus_members:%d\r\n",
		st.ClusterName, st.Cluster, st.ID, st.URL, st.Role, st.Leader, st.LeaderURL(), st.Term, st.Commit, st.Applied,
		serving, reason(errors.New(st.Problem)), version, len(st.Members))
	for i, m := range st.Members {
		out = fmt.Appendf(out, "nexus_member%d:id=%016x,url=%s,learner=%t\r\n", i, m.ID, m.URL, m.Learner)
	}
	return out
}
