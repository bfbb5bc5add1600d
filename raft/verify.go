package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// A checkpoint that some member was too busy for is tried again so often.
	verifyTries    = 5
	verifyTryPause = 2 * time.Second
	// verifyTimeout bounds the wait for the digests of one checkpoint: every member reads all of its data, at a pace.
	verifyTimeout = time.Hour
)

// VerifyReport says how the members' data compared at one position of the log.
type VerifyReport struct {
	Position
	Members []VerifiedMember `json:"members"`
}

// Equal reports whether all members were compared and hold the same.
func (v *VerifyReport) Equal() bool {
	return !slices.ContainsFunc(v.Members, func(m VerifiedMember) bool { return m.Problem != "" || len(m.Differences) > 0 })
}

// Differs reports whether a member that was compared holds something else than the majority.
func (v *VerifyReport) Differs() bool {
	return slices.ContainsFunc(v.Members, func(m VerifiedMember) bool { return len(m.Differences) > 0 })
}

// VerifiedMember is what a comparison found about one member.
type VerifiedMember struct {
	ID    uint64 `json:"id"`
	URL   string `json:"url"`
	Items uint64 `json:"items"`
	// Differences to what the majority holds, by part.
	Differences []PartDifference `json:"differences,omitempty"`
	// Problem says why the member was not compared.
	Problem string `json:"problem,omitempty"`
}

// PartDifference says how much of a part of a member's data differs from the majority's.
type PartDifference struct {
	Part    string `json:"part"`
	Items   uint64 `json:"items"`   // that differ, are missing or are too many
	AtLeast bool   `json:"atLeast"` // Items is a lower bound
}

func (m *VerifiedMember) describe() string {
	texts := make([]string, len(m.Differences))
	for i, d := range m.Differences {
		least := ""
		if d.AtLeast {
			least = "at least "
		}
		texts[i] = fmt.Sprintf("%s%d keys of %s", least, d.Items, d.Part)
	}
	return strings.Join(texts, ", ")
}

// Verify compares the data of all members at one position of the log, without holding up writes. A member that differs
// from the majority stops serving, and is repaired if Config.AutoRepair is set there. It may be called on any member.
func (r *Replicator) Verify(ctx context.Context) (VerifyReport, error) {
	answer, err := r.change(ctx, membershipRequest{Op: "verify"})
	if err != nil {
		return VerifyReport{}, err
	}
	if answer.Report == nil {
		return VerifyReport{}, errors.New("verify: the leader has sent no report")
	}
	return *answer.Report, nil
}

func (r *Replicator) verifyAsLeader(ctx context.Context) (*VerifyReport, error) {
	for try := 1; ; try++ {
		report, err := r.verifyOnce(ctx)
		if !errors.Is(err, ErrBusy) || try == verifyTries {
			return report, err
		}
		select {
		case <-time.After(verifyTryPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("verify: %w: %w", err, context.Cause(ctx))
		}
	}
}

// verifyOnce puts a checkpoint into the log, collects the digests and acts on what it finds.
func (r *Replicator) verifyOnce(ctx context.Context) (*VerifyReport, error) {
	var id uint64
	err := r.onLoop(ctx, func() (err error) {
		if !r.leading || r.appliedTerm.Load() != r.term.Load() {
			return errNotLeader
		}
		if r.cutting != nil {
			return errCutting
		}
		if id, err = newID(); err != nil {
			return err
		}
		stamp := max(r.wallClock().UnixMilli(), r.disk.lastStamp)
		err = r.node.Propose(appendEntry(nil, stamp, []group{{origin: checkpointOrigin, id: id}}))
		if err == nil {
			r.disk.lastStamp = stamp
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify: put a checkpoint into the log: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	answers, err := r.collectDigests(limited, id)
	if err != nil {
		return nil, err
	}
	if missing := leaderlessCause(ctx); missing != nil {
		return nil, fmt.Errorf("verify: %w", missing)
	}
	ctx = limited
	report, good, err := r.compare(ctx, id, answers)
	if err != nil {
		return nil, err
	}
	r.noteVerified(report)
	r.quarantineOdd(ctx, report, good)
	return report, nil
}

func (r *Replicator) noteVerified(report *VerifyReport) {
	r.verified.Store(report)
	r.log.Info("compared the nodes' data", "index", report.Index, "members", len(report.Members), "equal", report.Equal())
}

// verifyPeriodically compares the members every Config.VerifyInterval while this one leads. What another leader has done
// counts: its checkpoint came past here.
func (r *Replicator) verifyPeriodically(ctx context.Context) {
	if r.cfg.VerifyInterval == 0 {
		return
	}
	ticker := time.NewTicker(max(r.cfg.VerifyInterval/20, 10*time.Millisecond))
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		last := began
		if c := r.checkpoint.Load(); c != nil && c.begun.After(last) {
			last = c.begun
		}
		if time.Since(last) < r.cfg.VerifyInterval || r.leader.Load() != r.identity.ID || len(r.membership.list()) < 2 {
			continue
		}
		began = time.Now()
		limited, cancel := context.WithTimeout(ctx, r.cfg.VerifyInterval)
		if _, err := r.Verify(limited); err != nil {
			r.log.Warn("the nodes' data could not be compared", "err", err)
		}
		cancel()
	}
}
