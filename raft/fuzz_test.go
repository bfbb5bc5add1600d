package raft

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"go.uber.org/zap"
)

// FuzzForwardedProposals is what another node could send in place of proposals.
func FuzzForwardedProposals(f *testing.F) {
	f.Add(appendGroups(nil, []group{{origin: 1, id: 2, cmds: []Command{{Data: []byte("x")}, {}}}, {origin: 3}}), "7")
	f.Add([]byte{255, 255, 255, 255, 15}, "")
	cfg := NewConfig()
	cfg.MaxPendingBytes = 1 << 10
	f.Fuzz(func(t *testing.T, body []byte, term string) {
		// A node that is stopping takes proposals in and gives none a verdict.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r := &Replicator{cfg: cfg, ctx: ctx, mail: newMailbox()}
		req := httptest.NewRequest(http.MethodPost, pathPropose, bytes.NewReader(body))
		req.Header.Set(headerTerm, term)
		w := httptest.NewRecorder()
		r.servePropose(w, req)
		if r.pendingBytes.Load() != 0 {
			t.Errorf("%d bytes are still counted", r.pendingBytes.Load())
		}
	})
}

// FuzzSnapshotFiles is what a node could find on its disk, or get from another, in place of a snapshot.
func FuzzSnapshotFiles(f *testing.F) {
	dir := f.TempDir()
	s, err := openSnapshots(dir, zap.NewNop())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.saveBody(1, bytes.NewReader([]byte("all data")), func(int64) {}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(s.bodyPath(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, (&snapshotData{Version: snapshotVersion}).encode())
	f.Add([]byte{}, []byte(`{"version":99}`))
	f.Fuzz(func(t *testing.T, body, meta []byte) {
		if d, err := decodeSnapshotData(meta); err == nil && d.Version != snapshotVersion {
			t.Errorf("version %d was taken", d.Version)
		}
		if err := s.replaceBody(context.Background(), 2, bytes.NewReader(body)); err == nil {
			if err := s.checkBody(context.Background(), 2); err != nil {
				t.Errorf("a body that was taken is damaged: %v", err)
			}
		}
		if err := os.WriteFile(s.bodyPath(3), body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.checkBody(context.Background(), 3); err == nil && !bytes.Equal(body, whole) && len(body) < trailerSize {
			t.Error("a body without a checksum was taken")
		}
	})
}

// FuzzAnswers is what other nodes could answer to the questions of this one, and ask it.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"id":1,"url":"http://a:1"}`))
	f.Fuzz(func(_ *testing.T, p []byte) {
		var (
			change   membershipRequest
			who      introduction
			identity identity
		)
		_ = json.Unmarshal(p, &change)
		_ = json.Unmarshal(p, &identity)
		if json.Unmarshal(p, &who) == nil {
			for _, m := range who.Members {
				_, _ = ParseNodeURL(m.URL)
			}
		}
		_, _ = ParseNodeURL(string(p))
		_, _ = decodeStamp(p)
		_, _ = binary.Uvarint(p)
	})
}
