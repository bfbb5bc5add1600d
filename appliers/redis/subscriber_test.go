package redis

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSubscriberGetsTheBackendsBytes(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	for protocol, want := range map[Protocol]string{
		2: "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
		3: ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
	} {
		sub, err := b.Subscriber(context.Background(), protocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sub.Write(command("SUBSCRIBE", "c")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		half := strings.Index(want[1:], want[:1]) + 1
		if _, err := io.ReadFull(sub, got[:half]); err != nil {
			t.Fatal(err)
		}
		e := entry(b.held.Index+1, op("PUBLISH", "c", "hi"))
		mustApply(t, b, e)
		if string(e.Commands[0].Reply) != ":1\r\n" {
			t.Errorf("PUBLISH was answered with %q", e.Commands[0].Reply)
		}
		if _, err := io.ReadFull(sub, got[half:]); err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("RESP%d: %q", protocol, got)
		}
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := b.Stats().Subscribers; n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestSubscribersAreBounded(t *testing.T) {
	s := startServer(t)
	cfg := testConfig(s.addr)
	cfg.MaxSubscribers = 1
	b := openBackend(t, cfg)
	first, err := b.Subscriber(context.Background(), RESP2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscriber(context.Background(), RESP2); !errors.Is(err, ErrNoSubscriber) {
		t.Errorf("the second: %v", err)
	}
	_ = first.Close()
	s.do(0, "CONFIG", "SET", "maxclients", "60")
	if _, err := b.Subscriber(context.Background(), RESP2); !errors.Is(err, ErrNoSubscriber) {
		t.Errorf("with few clients left at the backend: %v", err)
	}
	s.do(0, "CONFIG", "SET", "maxclients", "1000")
	again, err := b.Subscriber(context.Background(), RESP2)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// When the data is replaced or lost, entries are applied again; subscribers must not hear them twice.
func TestSubscribersEndWithTheData(t *testing.T) {
	s := startServer(t)
	b := openBackend(t, testConfig(s.addr))
	mustApply(t, b, entry(1, op("SET", "k", "v")))
	data := takeSnapshot(t, b)
	restore := func() {
		if err := b.Restore(context.Background(), testID, snapshotOf(data, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for name, lose := range map[string]func(){
		"restored": restore,
		"flushed by hand": func() {
			s.do(0, "FLUSHALL")
			if err := b.Apply(context.Background(), nil); err == nil {
				t.Error("nobody noticed")
			}
			restore()
		},
	} {
		sub, err := b.Subscriber(context.Background(), RESP2)
		if err != nil {
			t.Fatal(err)
		}
		lose()
		if _, err := sub.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the subscriber lives on", name)
		}
	}
	sub, err := b.Subscriber(context.Background(), RESP2)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	if _, err := sub.Read(make([]byte, 1)); err == nil {
		t.Error("the subscriber outlives the backend")
	}
	if _, err := b.Subscriber(context.Background(), RESP2); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
