package raft

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// lingering is an apply loop of a member that does not lead and has just applied up to 10, while entries up to 12 are committed.
func lingering() *applyLoop {
	came := newAwaited()
	r := &Replicator{
		cfg:        Config{ApplyInterval: time.Minute},
		identity:   identity{ID: 1},
		committed:  newWatermark(),
		awaited:    came,
		applyWaits: applyWaits{came: came},
		pending:    pendingSet{came: came, byID: make(map[uint64]*proposal)},
	}
	r.leader.Store(2)
	r.committed.raise(12)
	return &applyLoop{r: r, position: Position{Term: 1, Index: 10}, ranAt: time.Now()}
}

func TestLinger(t *testing.T) {
	const moment = time.Second
	for name, tc := range map[string]struct {
		before, meanwhile func(a *applyLoop)
		takes             time.Duration
		target            uint64
	}{
		"nobody waits":            {takes: time.Minute, target: 12},
		"more comes":              {meanwhile: func(a *applyLoop) { a.r.committed.raise(15) }, takes: time.Minute, target: 15},
		"a reader waits":          {before: func(a *applyLoop) { a.r.applyWaits.at(12) }, target: 12},
		"a reader comes":          {meanwhile: func(a *applyLoop) { a.r.applyWaits.at(12) }, takes: moment, target: 12},
		"a proposal is there":     {before: func(a *applyLoop) { a.r.pending.add(&proposal{}, 1) }, target: 12},
		"a proposal comes":        {meanwhile: func(a *applyLoop) { a.r.pending.add(&proposal{}, 1) }, takes: moment, target: 12},
		"this member leads":       {before: func(a *applyLoop) { a.r.leader.Store(1) }, target: 12},
		"a reader has gone":       {before: func(a *applyLoop) { a.r.applyWaits.at(9); a.r.applyWaits.advance(9) }, takes: time.Minute, target: 12},
		"applied long ago":        {before: func(a *applyLoop) { a.ranAt = a.ranAt.Add(-time.Hour) }, target: 12},
		"many entries":            {before: func(a *applyLoop) { a.r.committed.raise(10 + maxLingering) }, target: 10 + maxLingering},
		"nothing to apply":        {before: func(a *applyLoop) { a.position.Index = 12 }, target: 12},
		"no interval":             {before: func(a *applyLoop) { a.r.cfg.ApplyInterval = 0 }, target: 12},
		"applied not so long ago": {before: func(a *applyLoop) { a.ranAt = a.ranAt.Add(-45 * time.Second) }, takes: 15 * time.Second, target: 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := lingering()
				if tc.before != nil {
					tc.before(a)
				}
				begun := time.Now()
				if tc.meanwhile != nil {
					time.AfterFunc(moment, func() { tc.meanwhile(a) })
				}
				target := a.linger(t.Context(), a.r.committed.load())
				if took := time.Since(begun); target != tc.target || took != tc.takes {
					t.Errorf("applies up to %d after %v, want %d after %v", target, took, tc.target, tc.takes)
				}
			})
		})
	}
}

func TestLingerEndsWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		lingering().linger(ctx, 12)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("a node that stops lingers for %v", took)
		}
	})
}
