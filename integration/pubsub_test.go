package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// listener is a client that is subscribed to everything and remembers what it hears.
type listener struct {
	conn  *rawConn
	done  chan struct{}
	heard []string // channel, space, message; to be read when done is closed
}

// listen subscribes at a node and hears all until a message on the channel "end", or until the connection ends.
func listen(t *testing.T, n *cluster.Node, pattern string) *listener {
	t.Helper()
	l := &listener{conn: dialRaw(t, n.Addr(), 2), done: make(chan struct{})}
	if reply := string(must(l.conn.do([]string{"PSUBSCRIBE", pattern}))(t)); !strings.HasPrefix(reply, "*3\r\n$10\r\npsubscribe\r\n") {
		t.Fatalf("%s: PSUBSCRIBE: %q", n.Name, reply)
	}
	go func() {
		defer close(l.done)
		for l.conn.conn.SetDeadline(time.Now().Add(60*time.Second)) == nil {
			message, err := l.conn.reply(nil)
			if err != nil {
				return
			}
			words := strings.Split(string(message), "\r\n")
			if len(words) != 10 {
				l.heard = append(l.heard, fmt.Sprintf("no message: %q", message))
				return
			}
			if words[6] == "end" {
				return
			}
			l.heard = append(l.heard, words[6]+" "+words[8])
		}
	}()
	return l
}

func (l *listener) await(t *testing.T) []string {
	t.Helper()
	select {
	case <-l.done:
	case <-time.After(60 * time.Second):
		t.Fatal("the end of the messages does not come")
	}
	return l.heard
}

// publisher publishes messages from several clients at all nodes and remembers which were acknowledged.
type publisher struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]bool
}

func (p *publisher) start(nodes []*cluster.Node, clients, each int) {
	p.acked = make(map[string]bool)
	for i := range clients {
		p.wg.Go(func() { p.work(nodes, i, each) })
	}
}

// work moves to the next node when one does not answer.
func (p *publisher) work(nodes []*cluster.Node, id, each int) {
	at := id % len(nodes)
	c := quickClient(nodes[at])
	defer func() { c.Close() }()
	for i := range each {
		message := fmt.Sprintf("%d:%d", id, i)
		err := c.Publish(context.Background(), "channel", message).Err()
		if err == nil {
			p.mu.Lock()
			p.acked["channel "+message] = true
			p.mu.Unlock()
			continue
		}
		c.Close()
		at = (at + 1) % len(nodes)
		c = quickClient(nodes[at])
	}
}

func quickClient(n *cluster.Node) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 6 * time.Second})
}

// verify checks that what was acknowledged was heard once, and each publisher's messages in its order.
func (p *publisher) verify(t *testing.T, heard []string) {
	t.Helper()
	last := make(map[string]int)
	seen := make(map[string]bool)
	for _, m := range heard {
		if seen[m] {
			t.Errorf("%q was heard twice", m)
		}
		seen[m] = true
		id, number, _ := strings.Cut(strings.TrimPrefix(m, "channel "), ":")
		n := must(strconv.Atoi(number))(t)
		if before, ok := last[id]; ok && n <= before {
			t.Errorf("publisher %s: %d was heard behind %d", id, n, before)
		}
		last[id] = n
	}
	missing := 0
	for m := range p.acked {
		if !seen[m] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d acknowledged messages were not heard", missing, len(p.acked))
	}
}

// TestPubSub: all subscribers, whatever their node, hear all messages in one order.
func TestPubSub(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	load := startLoad(t, c.Nodes, 3)
	var listeners []*listener
	for _, n := range slices.Concat(c.Nodes, c.Nodes) {
		listeners = append(listeners, listen(t, n, "*"))
	}
	var p publisher
	p.start(c.Nodes, 20, 500)
	p.wg.Wait()
	if len(p.acked) != 10_000 {
		t.Errorf("%d of 10000 messages were acknowledged", len(p.acked))
	}
	check(t, client(t, c.Nodes[2], 0).Publish(within(t, 40*time.Second), "end", "").Err())
	load.finish()
	first := listeners[0].await(t)
	p.verify(t, first)
	for i, l := range listeners {
		if !slices.Equal(l.await(t), first) {
			t.Errorf("listener %d hears other messages, or in another order", i)
		}
	}
}

// TestPubSubKillLeader: the same while the leader is killed, for those who listen elsewhere; what was heard at the leader
// is where they begin.
func TestPubSubKillLeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	others := survivors(c, leader)
	atLeader := listen(t, leader, "*")
	var listeners []*listener
	for _, n := range others {
		listeners = append(listeners, listen(t, n, "*"))
	}
	var p publisher
	p.start(c.Nodes, 20, 500)
	eventually(t, 40*time.Second, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.acked) < 1000 {
			return fmt.Errorf("%d messages are acknowledged", len(p.acked))
		}
		return nil
	})
	check(t, leader.Kill())
	p.wg.Wait()
	eventually(t, 40*time.Second, func() error {
		return client(t, others[0], 0).Publish(within(t, 40*time.Second), "end", "").Err()
	})
	first := listeners[0].await(t)
	p.verify(t, first)
	if second := listeners[1].await(t); !slices.Equal(first, second) {
		t.Error("the others hear other messages, or in another order")
	}
	began := atLeader.await(t)
	if len(began) == 0 || len(began) > len(first) || !slices.Equal(began, first[:len(began)]) {
		t.Errorf("what was heard at the leader before it was killed, %d messages, is not how the %d of the others begin", len(began), len(first))
	}
	t.Logf("%d messages acknowledged, %d heard, %d of them at the leader that was killed", len(p.acked), len(first), len(began))
}

// TestPubSubBackendRestarts: a backend that is filled again executes old entries again. Nobody hears them twice: who
// listened there is closed, and who comes later hears what is published later.
func TestPubSubBackendRestarts(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	n, other := c.Nodes[0], c.Nodes[1]
	there, elsewhere := listen(t, n, "*"), listen(t, other, "*")
	db := client(t, other, 0)
	for i := range 100 {
		check(t, db.Publish(ctx, "channel", fmt.Sprint("0:", i)).Err())
	}
	check(t, n.Backend.Kill())
	there.await(t)
	check(t, n.Backend.StartReady(ctx))
	var again *listener
	eventually(t, 40*time.Second, func() error {
		conn := dialRaw(t, n.Addr(), 2)
		defer conn.conn.Close()
		reply := string(must(conn.do([]string{"SUBSCRIBE", "c"}))(t))
		if reply[0] == '-' {
			return errors.New(reply)
		}
		return nil
	})
	again = listen(t, n, "*")
	for i := range 100 {
		check(t, db.Publish(ctx, "channel", fmt.Sprint("1:", i)).Err())
	}
	check(t, db.Publish(ctx, "end", "").Err())
	if heard := again.await(t); len(heard) != 100 || heard[0] != "channel 1:0" {
		t.Errorf("after the restart %d messages are heard, want the 100 that were published after it: %.10q", len(heard), heard)
	}
	if heard := elsewhere.await(t); len(heard) != 200 {
		t.Errorf("at another node %d messages are heard, want 200", len(heard))
	}
}

// TestSubscribeSeesTheBarrier: a subscriber hears nothing that was answered before it subscribed, and everything that
// is published after it has its reply, at whichever nodes.
func TestSubscribeSeesTheBarrier(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	load := startLoad(t, c.Nodes, 3)
	defer load.finish()
	for i := range 60 {
		publish := client(t, c.Nodes[i%3], 0)
		check(t, publish.Publish(ctx, "c", fmt.Sprint("before ", i)).Err())
		l := listen(t, c.Nodes[(i+1)%3], "*")
		check(t, publish.Publish(ctx, "c", fmt.Sprint("after ", i)).Err())
		check(t, publish.Publish(ctx, "end", "").Err())
		if heard := l.await(t); len(heard) != 1 || heard[0] != fmt.Sprint("c after ", i) {
			t.Fatalf("round %d: heard %q", i, heard)
		}
		l.conn.conn.Close()
	}
}

// TestEvents: the setting holds on all nodes, and what happens to keys is told on all of them in one order, also that
// they have expired, and also after a backend was started again.
func TestEvents(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 60*time.Second)
	db := client(t, c.Nodes[0], 0)
	check(t, db.Set(ctx, "k", "v", 0).Err())
	check(t, db.ConfigSet(ctx, "notify-keyspace-events", "Ex$g").Err())
	check(t, c.Nodes[2].Backend.Kill())
	check(t, c.Nodes[2].Backend.StartReady(ctx))
	eventually(t, 40*time.Second, func() error { return readOr(t, client(t, c.Nodes[2], 0), "k", "v") })
	check(t, db.Del(ctx, "k").Err())
	var listeners []*listener
	for _, n := range c.Nodes {
		if got := must(client(t, n, 0).ConfigGet(ctx, "notify-keyspace-events").Result())(t); fmt.Sprint(got) != "[notify-keyspace-events g$xE]" {
			t.Errorf("%s has %q", n.Name, got)
		}
		listeners = append(listeners, listen(t, n, "*"))
	}
	for i := range 100 {
		check(t, db.Set(ctx, fmt.Sprint("k", i%10), i, 5*time.Millisecond).Err())
	}
	eventually(t, 40*time.Second, func() error {
		n, err := db.DBSize(ctx).Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d keys are left", n)
		}
		return err
	})
	check(t, db.Publish(ctx, "end", "").Err())
	first := listeners[0].await(t)
	expired := 0
	for _, m := range first {
		if strings.HasPrefix(m, "__keyevent@0__:expired k") {
			expired++
		} else if strings.Contains(m, ":del ") || strings.Contains(m, "raft") {
			t.Errorf("heard %q", m)
		}
	}
	if expired < 10 {
		t.Errorf("%d keys are said to have expired", expired)
	}
	for i, l := range listeners {
		if heard := l.await(t); !slices.Equal(heard, first) {
			t.Errorf("listener %d hears other events, or in another order: %d, where another hears %d", i, len(heard), len(first))
		}
	}
}

// TestManySubscribers measures what they cost.
func TestManySubscribers(t *testing.T) {
	count := 200
	if s := os.Getenv("NEXUS_TEST_SUBSCRIBERS"); s != "" {
		count = must(strconv.Atoi(s))(t)
	}
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	n := c.Nodes[0]
	before := residentBytes(t, n.Pid())
	began := time.Now()
	listeners := make([]*listener, count)
	for i := range listeners {
		listeners[i] = listen(t, n, "*")
	}
	subscribed := time.Since(began)
	memory := residentBytes(t, n.Pid()) - before
	db := client(t, c.Nodes[1], 0)
	const messages = 100
	began = time.Now()
	for i := range messages {
		check(t, db.Publish(ctx, "channel", i).Err())
	}
	check(t, db.Publish(ctx, "end", "").Err())
	for i, l := range listeners {
		if heard := l.await(t); len(heard) != messages {
			t.Fatalf("listener %d heard %d messages, want %d", i, len(heard), messages)
		}
	}
	t.Logf("%d subscribers at one node: subscribed in %v, %d KiB of its memory each; %d messages to all of them in %v",
		count, subscribed.Round(time.Millisecond), memory/1024/int64(count), messages, time.Since(began).Round(time.Millisecond))
}

func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	statm := must(os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)))(t)
	fields := strings.Fields(string(statm))
	return must(strconv.ParseInt(fields[1], 10, 64))(t) * int64(os.Getpagesize())
}
