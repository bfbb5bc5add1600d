package redis

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/nexus-replication/nexus/raft"
)

func usersOp(version uint64, changes ...UserChange) raft.Command {
	return raft.Command{Data: AppendOp(nil, UsersItem(version, changes...)), Wanted: true}
}

func wantUsers(t *testing.T, u *Users, version uint64, rules map[string]string) {
	t.Helper()
	if u.Version != version || !maps.Equal(u.Rules, rules) {
		t.Errorf("got version %d of %v, want %d of %v", u.Version, u.Rules, version, rules)
	}
}

// A change of users is there on every server that the entries reach, if it was made of the users that there were.
func TestUsersSurvive(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	var told []*Users
	b.FollowUsers(func(u *Users) { told = append(told, u) })
	first := entry(1, op("CONFIG", "SET", "notify-keyspace-events", "KEA"), usersOp(0, UserChange{"bob", "on"}, UserChange{"eve", "on"}), usersOp(0, UserChange{"bob", "off"}))
	mustApply(t, b, first)
	if done, not := string(first.Commands[1].Reply), string(first.Commands[2].Reply); done[0] != ':' || not[0] == ':' {
		t.Errorf("answered with %q and %q", done, not)
	}
	second := entry(2, usersOp(1, UserChange{Name: "eve"}), op("FLUSHALL"), usersOp(2, UserChange{"bob", "on\n~x"}), usersOp(1, UserChange{"bob", "off"}))
	mustApply(t, b, second)
	if done, not := string(second.Commands[2].Reply), string(second.Commands[3].Reply); done[0] != ':' || not[0] == ':' {
		t.Errorf("answered with %q and %q", done, not)
	}
	want := map[string]string{"bob": "on\n~x"}
	if len(told) != 3 {
		t.Fatalf("told %d times", len(told))
	}
	wantUsers(t, told[1], 1, map[string]string{"bob": "on", "eve": "on"})
	wantUsers(t, told[2], 3, want)
	snap := takeSnapshot(t, b)

	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := openBackend(t, testConfig(s.addr))
	again.FollowUsers(func(u *Users) { wantUsers(t, u, 3, want) })

	other := startServer(t)
	filled := newBackend(t, testConfig(other.addr))
	var got *Users
	filled.FollowUsers(func(u *Users) { got = u })
	if err := filled.Restore(context.Background(), testID, snapshotOf(snap, 2)); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, got, 3, want)

	// A server that came back empty does not bring back the time before.
	other.do(0, "FLUSHALL")
	other.restart()
	var behind *raft.BehindError
	for range 50 {
		if err := filled.Apply(context.Background(), nil); errors.As(err, &behind) {
			break
		}
	}
	if behind == nil {
		t.Fatal("the backend that came back empty is not noticed")
	}
	wantUsers(t, got, 3, want)
	mustApply(t, filled, first)
	wantUsers(t, got, 3, want)
	mustApply(t, filled, second)
	mustApply(t, filled, entry(3, usersOp(3, UserChange{Name: "bob"})))
	wantUsers(t, got, 4, nil)
}

// What is no change of users stops the node.
func TestUsersRefused(t *testing.T) {
	s := startServer(t)
	for _, item := range []Item{
		{Flags: ItemUsers, Cmd: command("USERS", "0")},
		{Flags: ItemUsers, Cmd: command("USERS", "0", "bob")},
		{Flags: ItemUsers, Cmd: command("USERS", "x", "bob", "on")},
		{Flags: ItemUsers, Cmd: command("SET", "0", "bob", "on")},
		{Flags: ItemUsers | ItemRESP3, Cmd: command("USERS", "0", "bob", "on")},
	} {
		b := openBackend(t, testConfig(s.addr))
		var fatal *raft.FatalError
		if err := b.Apply(context.Background(), []raft.Entry{entry(1, raft.Command{Data: AppendOp(nil, item)})}); !errors.As(err, &fatal) {
			t.Errorf("%q: %v", item.Cmd, err)
		}
		b.Close()
	}
}
