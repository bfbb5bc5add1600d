package raft

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stamp := rapid.Int64Min(0).Draw(t, "stamp")
		groups := make([]group, rapid.IntRange(0, 5).Draw(t, "groups"))
		for i := range groups {
			groups[i].origin = rapid.Uint64().Draw(t, "origin")
			groups[i].id = rapid.Uint64().Draw(t, "id")
			for range rapid.IntRange(0, 4).Draw(t, "commands") {
				groups[i].cmds = append(groups[i].cmds, Command{Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")})
			}
		}
		gotStamp, cmds, got, err := decodeEntry(appendEntry(nil, stamp, groups))
		if err != nil {
			t.Fatal(err)
		}
		if gotStamp != stamp || len(got) != len(groups) {
			t.Fatalf("got stamp %d and %d groups, want %d and %d", gotStamp, len(got), stamp, len(groups))
		}
		for i := range groups {
			if got[i].origin != groups[i].origin || got[i].id != groups[i].id || got[i].to-got[i].from != len(groups[i].cmds) {
				t.Fatalf("group %d: got %+v, want %+v", i, got[i], groups[i])
			}
			for j := range groups[i].cmds {
				if !bytes.Equal(cmds[got[i].from+j].Data, groups[i].cmds[j].Data) {
					t.Fatalf("group %d command %d differs", i, j)
				}
			}
		}
	})
}

// What a newer version has written is refused with the way out, whatever it is.
func TestNewerVersionsAreRefused(t *testing.T) {
	data := appendEntry(nil, 1, nil)
	data[0] = newestEntry + 1
	_, _, _, entry := decodeEntry(data)
	newer := snapshotData{Version: snapshotVersion + 1}
	_, snapshot := decodeSnapshotData(newer.encode())
	for _, c := range []struct {
		what  string
		reads int
		err   error
	}{{"log entry", newestEntry, entry}, {"snapshot", snapshotVersion, snapshot}} {
		want := fmt.Sprintf("%s has version %d: it was written by a newer version, this program reads version %d: start the newer one again, or replace this node",
			c.what, c.reads+1, c.reads)
		if c.err == nil || c.err.Error() != want {
			t.Errorf("%s: %v", c.what, c.err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(appendEntry(nil, 1, []group{{origin: 1, id: 2, cmds: []Command{{Data: []byte("x")}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		stamp, cmds, refs, err := decodeEntry(data)
		if err != nil || len(data) == 0 {
			return
		}
		var groups []group
		for _, ref := range refs {
			groups = append(groups, group{origin: ref.origin, id: ref.id, cmds: cmds[ref.from:ref.to]})
		}
		again := appendEntry(nil, stamp, groups)
		if _, _, _, err := decodeEntry(again); err != nil {
			t.Fatalf("encoding of a decoded entry does not decode: %v", err)
		}
	})
}
