package admin

import (
	"context"

	"github.com/nexus-replication/nexus/proxy/admin/nexuspb"
)

func (s *service) Verify(ctx context.Context, _ *nexuspb.VerifyRequest) (*nexuspb.VerifyResponse, error) {
	s.tellKind(ctx)
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	report, err := s.cfg.Node.Verify(ctx)
	if err != nil {
		return nil, readError(err) // asking again does no harm
	}
	resp := &nexuspb.VerifyResponse{Index: report.Index, Equal: report.Equal()}
	for _, m := range report.Members {
		member := &nexuspb.VerifiedMember{Id: m.ID, Url: m.URL, Items: m.Items, Problem: sendable(m.Problem)}
		for _, d := range m.Differences {
			member.Differences = append(member.Differences, &nexuspb.PartDifference{Part: sendable(d.Part), Items: d.Items, AtLeast: d.AtLeast})
		}
		resp.Members = append(resp.Members, member)
	}
	return resp, nil
}

func (s *service) Repair(ctx context.Context, _ *nexuspb.RepairRequest) (*nexuspb.RepairResponse, error) {
	ctx, cancel := s.memberContext(ctx)
	defer cancel()
	s.cfg.Logger.Info("repairing this node")
	if err := s.cfg.Node.Repair(ctx); err != nil {
		return nil, memberError(err)
	}
	return &nexuspb.RepairResponse{}, nil
}
