package raft

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces = 10
		begin := time.Now()
		r := &pacedReader{ctx: t.Context(), r: bytes.NewReader(make([]byte, pieces*bodyFlushBytes)), pace: newPace()}
		n, err := io.Copy(io.Discard, r)
		if n != pieces*bodyFlushBytes || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if took := time.Since(begin); took != pieces*pieceRest {
			t.Errorf("%d pieces took %v, want %v", pieces, took, pieces*pieceRest)
		}
	})
}

// The log that grows while a comparison writes its snapshot ends the rests.
func TestComparisonHurriesUpForTheLog(t *testing.T) {
	c := newTestCluster(t, 1, often)
	c.count(3)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	c.stores[0].mu.Lock()
	c.stores[0].held = held
	c.stores[0].mu.Unlock()
	verified := make(chan error, 1)
	go func() {
		_, err := c.nodes[0].Verify(context.Background())
		verified <- err
	}()
	turn := &c.nodes[0].snapshotTurn
	hurried := make(chan struct{})
	eventually(t, "snapshot with rests", func() bool {
		turn.mu.Lock()
		defer turn.mu.Unlock()
		if turn.hurry == nil {
			return false
		}
		ends := turn.hurry
		turn.hurry = sync.OnceFunc(func() { ends(); close(hurried) })
		return true
	})
	select {
	case <-hurried:
		t.Error("hurried for nobody")
	default:
	}
	c.count(20)
	c.must(hurried, "end of the rests")
	release()
	if err := <-verified; err != nil {
		t.Error(err)
	}
}

// A snapshot that others wait for, or that lets the log grow for too long, takes no rests.
func TestSnapshotHurriesUp(t *testing.T) {
	const pieces = 10
	for _, tc := range []struct {
		name          string
		before, while func(*snapshotTurn)
		rests         time.Duration
	}{
		{"nobody waits", nil, func(turn *snapshotTurn) { turn.begin(false) }, pieces * pieceRest},
		{"it was asked for", func(turn *snapshotTurn) { turn.ask() }, nil, 0},
		{"one is asked for", nil, func(turn *snapshotTurn) { turn.ask() }, 0},
		{"a member wants one", nil, func(turn *snapshotTurn) { turn.want() }, 0},
		{"a repair waits for its end", nil, func(turn *snapshotTurn) { turn.awaitEnd() }, 0},
		{"the next is due", nil, func(turn *snapshotTurn) { turn.begin(true) }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turn := &snapshotTurn{}
				if tc.before != nil {
					tc.before(turn)
				}
				asked, _ := turn.begin(true)
				ctx := turn.rests(t.Context(), asked)
				if tc.while != nil {
					tc.while(turn)
				}
				begin := time.Now()
				r := &pacedReader{ctx: ctx, r: bytes.NewReader(make([]byte, pieces*bodyFlushBytes)), pace: newPace()}
				if n, err := io.Copy(io.Discard, r); n != pieces*bodyFlushBytes || err != nil {
					t.Errorf("read %d, %v", n, err)
				}
				if took := time.Since(begin); took != tc.rests {
					t.Errorf("rests of %v, want %v", took, tc.rests)
				}
				turn.end(asked, nil)
				if asked, ok := turn.begin(true); !ok {
					t.Error("the turn is not free")
				} else if ctx := turn.rests(t.Context(), asked); ctx.Err() != nil && len(asked) == 0 {
					t.Error("the next one is hurried for the one before")
				}
				turn.end(nil, nil)
			})
		})
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPace()
		rest := func() time.Duration {
			begin := time.Now()
			p.rest(ctx)
			return time.Since(begin)
		}
		for _, c := range []struct{ work, rest time.Duration }{
			{0, 0},
			{paceSlice - 1, 0},
			{1, paceRest * paceSlice}, // the slice is over
			{paceSlice - 1, 0},
			{paceSlice, paceRest * (2*paceSlice - 1)},
			{time.Minute, maxPaceRest},
		} {
			time.Sleep(c.work)
			if got := rest(); got != c.rest {
				t.Errorf("after work of %v: a rest of %v, want %v", c.work, got, c.rest)
			}
		}
		cancel()
		time.Sleep(time.Minute)
		if got := rest(); got != 0 {
			t.Errorf("a rest of %v after the end", got)
		}
	})
}
