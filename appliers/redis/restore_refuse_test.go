package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

func TestRestoreRefusesDamage(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	fillFormer(t, b)
	b.cfg.Addr = "127.0.0.1:1" // nothing may be asked of the backend
	refused := func(name string, bad []byte) {
		t.Helper()
		err := b.Restore(context.Background(), testID, snapshotOf(bad, 3))
		var fatal *raft.FatalError
		if !errors.As(err, &fatal) || !errors.Is(err, errRDB) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for at := 0; at < len(data); at += 1 + len(data)/50 {
		bad := bytes.Clone(data)
		bad[at] ^= 0x10
		refused(fmt.Sprint("flipped at ", at), bad)
		refused(fmt.Sprint("cut at ", at), data[:at])
	}
	for i := 1; i <= 9; i++ {
		bad := bytes.Clone(data)
		bad[len(bad)-i] ^= 1
		refused(fmt.Sprint("flipped at the end ", i), bad)
		refused(fmt.Sprint("cut at the end ", i), data[:len(data)-i])
	}
	refused("more", append(bytes.Clone(data), 0))
	short := snapshotOf(data, 3)
	short.Size++
	if err := b.Restore(context.Background(), testID, short); !errors.Is(err, errRDB) {
		t.Errorf("size: %v", err)
	}
	if got := s.do(0, "GET", "s"); got != "$6\r\nformer\r\n" {
		t.Errorf("%q", got)
	}

	b.cfg.Addr = s.addr
	later := bytes.Clone(data)
	copy(later[5:], "9999")
	resum(later)
	err := b.Restore(context.Background(), testID, snapshotOf(later, 3))
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "format 9999") {
		t.Errorf("later format: %v", err)
	}
	if got := s.do(0, "GET", "s"); got != "$6\r\nformer\r\n" {
		t.Errorf("%q", got)
	}
}

// resum gives an RDB the checksum of its bytes.
func resum(data []byte) {
	end := len(data) - 8
	binary.LittleEndian.PutUint64(data[end:], ^crc64.Update(^uint64(0), rdbTable, data[:end]))
}

// The data must be what the snapshot says it is.
func TestRestoreOfSomethingElse(t *testing.T) {
	data := sample(t)
	s := startServer(t)
	b := newBackend(t, testConfig(s.addr))
	var fatal *raft.FatalError
	if err := b.Restore(context.Background(), otherID, snapshotOf(data, 4)); !errors.As(err, &fatal) {
		t.Fatal(err)
	}
	if got := s.do(0, "GET", "s"); got != "$-1\r\n" {
		t.Errorf("%q is left of it", got)
	}
	if err := b.Apply(context.Background(), nil); !errors.Is(err, errRestoring) {
		t.Errorf("apply: %v", err)
	}
	snap := snapshotOf(data, 3)
	snap.Again = true
	if err := b.Restore(context.Background(), otherID, snap); err != nil {
		t.Fatal(err)
	}
	holdsSample(t, s, otherID, 3)
}

// A backend that is not this node's is left as it is.
func TestRestoreRefusesForeignBackend(t *testing.T) {
	data := sample(t)
	foreign := raft.Identity{Cluster: 0xc2, Node: testID.Node}
	mark := func(id raft.Identity, index uint64) func(*server) {
		return func(s *server) {
			s.do(13, "SET", markerKey, string(appendMarker(nil, id, raft.Position{Term: 1, Index: index})))
		}
	}
	for name, c := range map[string]struct {
		prepare func(*server)
		again   bool
	}{
		"data without position":   {func(*server) {}, true},
		"another cluster":         {mark(foreign, 3), true},
		"another node":            {mark(raft.Identity{Cluster: testID.Cluster, Node: 0xc}, 3), true},
		"origin, first time":      {mark(testID, 3), false},
		"origin, other position":  {mark(testID, 4), true},
		"replica":                 {func(s *server) { s.do(0, "REPLICAOF", "127.0.0.1", "1") }, false},
		"replica of another host": {func(s *server) { s.do(0, "REPLICAOF", "192.0.2.1", "1") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			s.do(0, "SET", "precious", "x")
			c.prepare(s)
			before := s.do(13, "GET", markerKey) + strings.Split(s.do(0, "INFO", "replication"), "master_")[0]
			b := newBackend(t, testConfig(s.addr))
			snap := snapshotOf(data, 3)
			snap.Again = c.again
			var fatal *raft.FatalError
			if err := b.Restore(context.Background(), otherID, snap); !errors.As(err, &fatal) {
				t.Fatal(err)
			}
			if got := s.do(0, "GET", "precious"); got != "$1\r\nx\r\n" {
				t.Errorf("%q", got)
			}
			if after := s.do(13, "GET", markerKey) + strings.Split(s.do(0, "INFO", "replication"), "master_")[0]; after != before {
				t.Errorf("%q, was %q", after, before)
			}
		})
	}
	t.Run("replica of a listener", func(t *testing.T) {
		s := startServer(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		s.do(0, "REPLICAOF", "127.0.0.1", port)
		snap := snapshotOf(data, 3)
		snap.Again = true
		if err := newBackend(t, testConfig(s.addr)).Restore(context.Background(), otherID, snap); err == nil {
			t.Fatal("restored")
		}
		if !strings.Contains(s.do(0, "INFO", "replication"), "role:slave") {
			t.Error("taken from its master")
		}
	})
	t.Run("live replica", func(t *testing.T) {
		master, s := startServer(t, "--repl-diskless-sync-delay", "0"), startServer(t)
		s.do(0, "REPLICAOF", "127.0.0.1", master.port)
		for end := time.Now().Add(40 * time.Second); time.Now().Before(end) && !strings.Contains(s.do(0, "INFO", "replication"), "master_link_status:up"); time.Sleep(20 * time.Millisecond) {
		}
		snap := snapshotOf(data, 3)
		snap.Again = true
		if err := newBackend(t, testConfig(s.addr)).Restore(context.Background(), otherID, snap); err == nil {
			t.Fatal("restored")
		}
		if !strings.Contains(s.do(0, "INFO", "replication"), "master_link_status:up") {
			t.Error("taken from its master")
		}
	})
}

// A server that cannot take the data says so in its log only, and exits.
func TestRestoreIntoFewerDatabases(t *testing.T) {
	data := sample(t)
	s := startServer(t, "--databases", "14")
	b := newBackend(t, testConfig(s.addr))
	err := b.Restore(context.Background(), otherID, snapshotOf(data, 3))
	var fatal *raft.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "has 14 databases") {
		t.Errorf("got %v", err)
	}
	if got := s.do(0, "PING"); got != "+PONG\r\n" {
		t.Errorf("the server answers %q", got)
	}
}
