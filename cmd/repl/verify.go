package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/nexus-replication/nexus/proxy/admin"
	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

// Both make the exit status tell that verify has not found all nodes equal.
var (
	errDiffer  = errors.New("the nodes do not all hold the same")
	errLeftOut = errors.New("not all nodes could be compared; those that were hold the same")
)

// verified is a member of a report as JSON shows it.
type verified struct {
	ID          string       `json:"id"`
	URL         string       `json:"url"`
	Keys        uint64       `json:"keys"` // or rows; 0 if there is a problem
	Differences []difference `json:"differences,omitempty"`
	Problem     string       `json:"problem,omitempty"`
}

type difference struct {
	Part    string `json:"part"`
	Keys    uint64 `json:"keys"`
	AtLeast bool   `json:"atLeast"`
}

func (s *session) verify([]string) error {
	b := s.newBar("The nodes compute what they hold", -1, false)
	var header metadata.MD
	resp, err := s.client.Verify(s.ctx, &nexuspb.VerifyRequest{}, grpc.Header(&header))
	b.Close()
	if err != nil {
		return describe(err, false)
	}
	var members []verified
	for _, m := range resp.GetMembers() {
		v := verified{ID: hex(m.GetId()), URL: m.GetUrl(), Keys: m.GetItems(), Problem: m.GetProblem()}
		for _, d := range m.GetDifferences() {
			v.Differences = append(v.Differences, difference{d.GetPart(), d.GetItems(), d.GetAtLeast()})
		}
		members = append(members, v)
	}
	if s.json {
		err = s.printJSON(map[string]any{"index": resp.GetIndex(), "equal": resp.GetEqual(), "members": members})
	} else {
		unit := "keys"
		if admin.KindOf(header) == "MySQL" {
			unit = "rows"
		}
		err = s.printVerified(resp.GetIndex(), members, unit)
	}
	if err == nil && !resp.GetEqual() {
		return judge(members)
	}
	return err
}

// judge says what is wrong with members that are not all equal.
func judge(members []verified) error {
	if slices.ContainsFunc(members, func(m verified) bool { return len(m.Differences) > 0 }) {
		return errDiffer
	}
	return errLeftOut
}

// printVerified prints a report on what consists of units: keys, or rows.
func (s *session) printVerified(index uint64, members []verified, unit string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Compared at log index %d:\n", index)
	for _, m := range members {
		fmt.Fprintf(&b, "%s => %s: %s\n", m.ID, m.URL, m.verdict(unit))
	}
	_, err := fmt.Fprint(s.out, b.String())
	return err
}

func (m *verified) verdict(unit string) string {
	switch {
	case m.Problem != "":
		return "not compared: " + m.Problem
	case len(m.Differences) == 0:
		return fmt.Sprintf("equal, %d %s", m.Keys, unit)
	}
	texts := make([]string, len(m.Differences))
	for i, d := range m.Differences {
		texts[i] = fmt.Sprintf("%d %s of %s", d.Keys, unit, d.Part)
		if d.AtLeast {
			texts[i] = "at least " + texts[i]
		}
	}
	return "DIFFERS in " + strings.Join(texts, ", ")
}

func (s *session) repair([]string) error {
	b := s.newBar("The node is filled from another", -1, false)
	_, err := s.client.Repair(s.ctx, &nexuspb.RepairRequest{})
	b.Close()
	if err != nil {
		return describe(err, true)
	}
	if s.json {
		return s.printJSON(map[string]bool{"repaired": true})
	}
	_, err = fmt.Fprintln(s.out, "Repaired; the node serves again.")
	return err
}
