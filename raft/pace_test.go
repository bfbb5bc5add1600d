package raft

import (
	"bytes"
	"context"
	"io"
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
