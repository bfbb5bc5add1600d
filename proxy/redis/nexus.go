package redis

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/raft"
)

// verifyTimeout bounds NEXUS VERIFY, which has every node read all of its data.
const verifyTimeout = time.Hour

// appendFields appends names and values, in turn, as an array.
func appendFields(dst []byte, fields ...string) []byte { return appendRequest(dst, fields...) }

func (s *session) cmdNexusHelp(dst []byte, _ [][]byte) []byte {
	lines := []string{
		"NEXUS <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"EXPLAIN <command> [<arg> ...]",
		"    Tell what becomes of a command: its policy, its keys and its form in the log. It is not executed.",
		"MEMBERS",
		"    List the members of the cluster.",
		"STATUS",
		"    Tell what this node thinks of itself.",
		"VERIFY",
		"    Compare the data of all members, while they run. It takes as long as reading all of it.",
		"HELP",
		"    Print this help.",
	}
	dst = appendArray(dst, len(lines))
	for _, l := range lines {
		dst = append(append(append(dst, '+'), l...), "\r\n"...)
	}
	return dst
}

// cmdNexusExplain tells what would become of a command, and executes nothing.
func (s *session) cmdNexusExplain(dst []byte, args [][]byte) []byte {
	command := args[2:]
	d := s.srv.table.Lookup(command, s.srv.policyContext)
	fields := []string{"policy", d.Policy.String()}
	if d.Spec != nil {
		fields = append([]string{"command", d.Spec.Name}, fields...)
	}
	if d.Err != "" {
		return appendFields(dst, append(fields, "error", d.Err)...)
	}
	fields = append(fields, "meaning", policyMeanings[d.Policy])
	keys, exact := d.Spec.AppendKeys(nil, command)
	if len(keys) > 0 {
		fields = append(fields, "keys", quoteWords(keys))
	}
	if !exact {
		fields = append(fields, "more keys", "possible")
	}
	form, errText := s.logForm(d, command)
	switch {
	case errText != "":
		fields = append(fields, "error", errText)
	case form != nil && d.Policy.Writes():
		fields = append(fields, "in the log", quoteWords(form))
	case form != nil:
		fields = append(fields, "to the backend", quoteWords(form))
	}
	return appendFields(dst, fields...)
}

var policyMeanings = map[policy.Policy]string{
	policy.Local:     "the node answers by itself",
	policy.Static:    "the backend answers at once, as the reply depends on the program and not on the data",
	policy.Read:      "the local backend answers after a quorum has confirmed the leader",
	policy.ReadTime:  "the local backend answers after a quorum has confirmed the leader, and times in the reply are converted",
	policy.Write:     "it goes through the log as it is, and every backend executes it",
	policy.WriteTime: "it goes through the log after the leader has put its time into it, and every backend executes that",
	policy.Choice:    "members are chosen on this node, and the log carries which; in a transaction the leader chooses a seed",
}

// logForm returns the command that the log would carry, or that the backend would be sent.
func (s *session) logForm(d policy.Decision, command [][]byte) (form [][]byte, errText string) {
	switch d.Policy {
	case policy.Write, policy.Read, policy.Static:
		return command, ""
	case policy.ReadTime:
		return policy.ReadTimeCommand(command), ""
	case policy.Choice:
		return policy.TakeCommand(command, [][]byte{[]byte("member")}), ""
	case policy.WriteTime:
		form, _, errText = policy.RewriteTime(command, time.Now().UnixMilli())
	}
	return form, errText
}

// quoteWords shows a command as redis-cli takes it, and the scripts of this program by their names.
func quoteWords(args [][]byte) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = string(a)
		switch name := policy.ScriptName(a); {
		case name != "":
			words[i] = "<" + name + ">"
		case len(a) == 0 || bytes.ContainsAny(a, " \t\"'") || strconv.Quote(words[i]) != `"`+words[i]+`"`:
			words[i] = strconv.Quote(words[i])
		}
	}
	return strings.Join(words, " ")
}

func (s *session) cmdNexusMembers(dst []byte, _ [][]byte) []byte {
	st := s.srv.rep.Status()
	dst = appendArray(dst, len(st.Members))
	for _, m := range st.Members {
		role := "follower"
		switch {
		case m.Learner:
			role = "learner"
		case m.ID == st.Leader:
			role = "leader"
		}
		dst = appendFields(dst, "id", fmt.Sprintf("%016x", m.ID), "url", m.URL, "role", role)
	}
	return dst
}

func (s *session) cmdNexusStatus(dst []byte, _ [][]byte) []byte {
	st := s.srv.rep.Status()
	return appendFields(dst,
		"cluster", st.ClusterName, "cluster id", fmt.Sprintf("%016x", st.Cluster), "id", fmt.Sprintf("%016x", st.ID), "url", st.URL,
		"role", st.Role, "leader", st.LeaderURL(), "term", fmt.Sprint(st.Term), "commit", fmt.Sprint(st.Commit),
		"applied", fmt.Sprint(st.Applied), "snapshot", fmt.Sprint(st.Snapshot), "serving", fmt.Sprint(st.Serving),
		"quarantined", fmt.Sprint(st.Quarantined), "problem", st.Problem, "version", s.srv.cfg.Version)
}

// cmdNexusVerify compares the data of all members.
func (s *session) cmdNexusVerify(dst []byte, _ [][]byte) []byte {
	if s.srv.cfg.Verifier == nil {
		return appendError(dst, "ERR nexus: this node cannot compare the members' data")
	}
	ctx, cancel := context.WithTimeout(s.srv.ctx, verifyTimeout)
	defer cancel()
	report, err := s.srv.cfg.Verifier.Verify(ctx)
	if err != nil {
		return appendError(dst, readErrorText(err))
	}
	dst = appendArray(dst, len(report.Members)+1)
	dst = appendFields(dst, "index", fmt.Sprint(report.Index), "equal", fmt.Sprint(report.Equal()))
	for _, m := range report.Members {
		dst = appendFields(dst, "id", fmt.Sprintf("%016x", m.ID), "url", m.URL, "items", fmt.Sprint(m.Items),
			"differences", differences(m), "problem", m.Problem)
	}
	return dst
}

func differences(m raft.VerifiedMember) string {
	parts := make([]string, len(m.Differences))
	for i, d := range m.Differences {
		parts[i] = fmt.Sprintf("%s: %d keys", d.Part, d.Items)
		if d.AtLeast {
			parts[i] = fmt.Sprintf("%s: at least %d keys", d.Part, d.Items)
		}
	}
	return strings.Join(parts, ", ")
}
