package redis

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cachingClient is a client that keeps what it has read until it is told to forget it. It pipelines, so that messages find
// replies on their way.
type cachingClient struct {
	t      *testing.T
	conn   net.Conn
	r      *bufio.Reader
	cached map[string]string
	forgot int
}

func newCachingClient(t *testing.T, addr, options string) *cachingClient {
	t.Helper()
	c := dial(t, addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON "+options), replyOK)
	return &cachingClient{t: t, conn: c.conn, r: c.r, cached: make(map[string]string)}
}

// read reads keys in one pipeline, and takes in what comes until the replies are there.
func (c *cachingClient) read(keys ...string) error {
	if err := c.conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return err
	}
	var request []byte
	for _, key := range keys {
		request = appendRequest(request, "GET", key)
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	for _, key := range keys {
		for {
			reply, err := c.next()
			if err != nil {
				return err
			}
			if reply[0] != '>' {
				c.cached[key] = reply
				break
			}
		}
	}
	return nil
}

// next returns a reply or message, which it heeds.
func (c *cachingClient) next() (string, error) {
	var b bytes.Buffer
	if err := readReply(c.r, &b); err != nil {
		return "", err
	}
	reply := b.String()
	switch {
	case reply == allForgotten:
		c.forgot++
		clear(c.cached)
	case strings.HasPrefix(reply, ">2\r\n$10\r\ninvalidate\r\n*"):
		c.forgot++
		words := strings.Split(reply, "\r\n")
		for i := 5; i < len(words)-1; i += 2 {
			delete(c.cached, words[i])
		}
	case reply[0] == '>':
		return "", fmt.Errorf("unknown message %q", reply)
	}
	return reply, nil
}

// settle waits until all that was cached is what the server has.
func (c *cachingClient) settle(server *client) {
	c.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		stale := ""
		for _, key := range slices.Sorted(maps.Keys(c.cached)) {
			if value := server.cmd("GET " + key); value != strings.Replace(c.cached[key], "_\r\n", "$-1\r\n", 1) {
				stale = fmt.Sprintf("%s is cached as %q, and is %q", key, c.cached[key], value)
			}
		}
		if stale == "" {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s", stale)
		}
		// What is missing must be on its way.
		if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.r.Peek(1); err == nil {
			if err := c.conn.SetReadDeadline(deadline); err != nil {
				c.t.Fatal(err)
			}
			if _, err := c.next(); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// TestTrackingRace: readers cache while others write, by themselves, in scripts and transactions, by renaming and flushing, and
// while the tracker loses its connection. When all is quiet, nothing that is cached is stale.
func TestTrackingRace(t *testing.T) {
	p := startProxy(t)
	const keys, rounds = 20, 400
	key := func() string { return "k" + strconv.Itoa(rand.IntN(keys)) }
	var readers []*cachingClient
	for _, options := range []string{"", "NOLOOP", "BCAST", "BCAST PREFIX k1 PREFIX k2", "OPTOUT"} {
		readers = append(readers, newCachingClient(t, p.addr, options))
	}
	var writing sync.WaitGroup
	var done atomic.Bool
	for w := range 3 {
		c := dial(t, p.addr)
		writing.Go(func() {
			for i := range rounds {
				value := fmt.Sprint(w, "-", i)
				switch rand.IntN(12) {
				case 0:
					c.do("EVAL", "return redis.call('set', KEYS[1], ARGV[1])", "1", key(), value)
				case 1:
					c.do("MSET", key(), value, key(), value)
				case 2:
					c.do("SET", key(), value, "PX", "1")
				case 3:
					c.do("DEL", key())
				case 4:
					c.do("RENAME", key(), key())
				case 5:
					c.cmd("MULTI")
					c.do("SET", key(), value)
					c.do("SET", key(), value)
					c.cmd("EXEC")
				case 6:
					if rand.IntN(10) == 0 {
						c.cmd([]string{"FLUSHDB", "FLUSHALL", "SWAPDB 0 1"}[rand.IntN(3)])
					}
				case 7:
					if rand.IntN(10) == 0 {
						killTrackers(t, p.redis)
					}
				default:
					c.do("SET", key(), value)
				}
			}
		})
	}
	errs := make(chan error, len(readers))
	for i, c := range readers {
		go func() {
			for !done.Load() {
				list := []string{key(), key(), key()}
				if i == 3 {
					list = []string{"k1" + strconv.Itoa(rand.IntN(10)), "k2"}
				}
				if err := c.read(list...); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	writing.Wait()
	done.Store(true)
	for range readers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	server := dial(t, p.addr)
	for i, c := range readers {
		c.settle(server)
		t.Logf("reader %d was told %d times, and has %d keys", i, c.forgot, len(c.cached))
		if c.forgot == 0 {
			t.Errorf("reader %d was told nothing", i)
		}
	}
}

// What changes a key between a read of it and the reply is told behind the reply, to the clients that have asked before.
func TestTrackingInFlight(t *testing.T) {
	for name, options := range map[string]string{"default": "", "broadcast": "BCAST", "optin": "OPTIN"} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t)
			c, other := dial(t, p.addr), dial(t, p.addr)
			c.cmd("HELLO 3")
			want(t, c.cmd("CLIENT TRACKING ON "+options), replyOK)
			if options == "OPTIN" {
				want(t, c.cmd("CLIENT CACHING YES"), replyOK)
			}
			write := func() {
				if reply := other.cmd("SET k new"); reply != replyOK {
					t.Errorf("SET: %q", reply)
				}
				for deadline := time.Now().Add(60 * time.Second); !p.server.tracker.toldAll(); {
					if time.Now().After(deadline) {
						t.Error("nobody is told")
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
			p.log.afterRead.Store(&write)
			want(t, c.cmd("GET k"), "_\r\n")
			want(t, c.reply(), forgotten("k"))
		})
	}
}

// toldAll reports whether something waits for each client.
func (k *tracker) toldAll() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.clients {
		c.mu.Lock()
		waits := len(c.pending) > 0 || c.all
		c.mu.Unlock()
		if !waits {
			return false
		}
	}
	return true
}

// killTrackers closes the connections on which the backend tells of changes.
func killTrackers(t *testing.T, redis string) {
	conn, err := net.Dial("tcp", redis)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	c := &client{tb: t, conn: conn, r: bufio.NewReader(conn)}
	for _, line := range strings.Split(c.cmd("CLIENT LIST"), "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && strings.Contains(line, "flags=tB") {
			c.do("CLIENT", "KILL", "ID", strings.TrimPrefix(fields[0], "id="))
		}
	}
}

// A key that is read while nobody can tell what will happen to it has to be forgotten at once.
func TestTrackingWithoutBackendConnection(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("HELLO 3")
	want(t, c.cmd("CLIENT TRACKING ON"), replyOK)
	want(t, c.cmd("GET k"), "_\r\n")
	killTrackers(t, p.redis)
	want(t, c.reply(), allForgotten)
	want(t, c.reply(), forgotten("k")) // its reply may have come with the message before
	for deadline := time.Now().Add(60 * time.Second); !p.server.tracker.sure.Load(); {
		if time.Now().After(deadline) {
			t.Fatal("the tracker does not come back")
		}
		time.Sleep(time.Millisecond)
	}
	want(t, c.cmd("GET k"), "_\r\n")
	want(t, dial(t, p.addr).cmd("INCR k"), ":1\r\n")
	want(t, c.reply(), forgotten("k"))
	if n := p.server.tracker.counts(); n.keys != 0 {
		t.Errorf("%d keys are left in the table", n.keys)
	}
	if !strings.Contains(p.logged.String(), "forget") {
		t.Error("the log tells nothing")
	}
}

// What is read while nobody can tell what will happen to it has to be forgotten, behind its reply.
func TestTrackingUnsure(t *testing.T) {
	k := newTracker(nil)
	c := newTracked(nil, trackingOptions{})
	k.clients[c] = struct{}{}
	k.read(c, [][]byte{[]byte("a"), []byte("b")})
	if pending, all := c.take(); pending != nil || all {
		t.Error("sent before the reply")
	}
	c.release()
	pending, all := c.take()
	if len(pending) != 2 || string(pending[0].keys[0]) != "a" || all || len(k.table.keys) != 0 {
		t.Errorf("sent: %v, all: %v", pending, all)
	}
}

// The backend tells of nothing while no client wants to know.
func TestTrackingCostsNothingUnused(t *testing.T) {
	p := startProxy(t)
	admin := dial(t, p.redis)
	tracks := func() bool { return strings.Contains(admin.cmd("CLIENT LIST"), "flags=tB") }
	c := dial(t, p.addr)
	c.cmd("HELLO 3")
	if tracks() {
		t.Error("tracked before anybody asks")
	}
	want(t, c.cmd("CLIENT TRACKING ON"), replyOK)
	if !tracks() {
		t.Error("not tracked")
	}
	want(t, c.cmd("CLIENT TRACKING OFF"), replyOK)
	for deadline := time.Now().Add(60 * time.Second); tracks(); {
		if time.Now().After(deadline) {
			t.Fatal("still tracked")
		}
		time.Sleep(time.Millisecond)
	}
}
