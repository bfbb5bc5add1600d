package raft_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// register is a Store: a map of strings with the position of the last applied entry. A real one keeps both in one
// transaction of its backend.
type register struct {
	mu       sync.Mutex
	position raft.Position
	values   map[string]string
}

func (s *register) Open(context.Context, raft.Identity) (raft.Position, error) {
	return s.position, nil
}

func (s *register) Apply(_ context.Context, entries []raft.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if e.Index-e.Pieces != s.position.Index+1 {
			return &raft.BehindError{Position: s.position}
		}
		for i := range e.Commands {
			key, value, _ := strings.Cut(string(e.Commands[i].Data), "=")
			e.Commands[i].Reply = fmt.Appendf(nil, "%s was %q", key, s.values[key])
			s.values[key] = value
		}
		s.position = e.Position
	}
	return nil
}

func (s *register) Snapshot(context.Context) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := json.Marshal(s.values)
	return io.NopCloser(bytes.NewReader(data)), err
}

func (s *register) Restore(_ context.Context, _ raft.Identity, snap *raft.Snapshot) error {
	values := make(map[string]string)
	if err := json.NewDecoder(snap.Data).Decode(&values); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values, s.position = values, snap.Position
	return nil
}

func (s *register) Position(context.Context) (raft.Position, error) { return s.position, nil }
func (s *register) Close() error                                    { return nil }

func (s *register) get(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

// Three members replicate a map. A write through one is read through another.
func ExampleReplicator() {
	ctx := context.Background()
	urls := []string{freeURL(), freeURL(), freeURL()}
	stores := make([]*register, len(urls))
	members := make([]*raft.Replicator, len(urls))
	var starting sync.WaitGroup
	dir, err := os.MkdirTemp("", "nexus-example")
	check(err)
	defer os.RemoveAll(dir)
	for i := range urls {
		stores[i] = &register{values: make(map[string]string)}

		cfg := raft.NewConfig()
		cfg.NodeURL, cfg.ClusterURLs, cfg.DataDir, cfg.Store = urls[i], urls, filepath.Join(dir, strconv.Itoa(i)), stores[i]
		cfg.Logger = slog.New(slog.DiscardHandler)
		member, err := raft.New(cfg)
		check(err)
		members[i] = member
		starting.Go(func() { check(members[i].Start(ctx)) })
	}
	starting.Wait()

	for _, command := range []string{"colour=red", "colour=blue"} {
		outcome, err := members[0].Propose(ctx, [][]byte{[]byte(command)})
		check(err)
		fmt.Println(string(outcome.Replies[0].Data))
	}
	check(members[2].Read(ctx, func(context.Context) error {
		fmt.Println("colour is", stores[2].get("colour"))
		return nil
	}))
	for _, m := range members {
		check(m.Stop(ctx))
	}
	// Output:
	// colour was ""
	// colour was "red"
	// colour is blue
}

func freeURL() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
