package integration

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
	"github.com/nexus-replication/nexus/integration/cluster/clustertest"
)

const allForgotten = ">2\r\n$10\r\ninvalidate\r\n_\r\n"

// cacher is a client that keeps what it has read from one node until it is told to forget it, as client libraries do. When
// its connection is lost it forgets all.
type cacher struct {
	t       *testing.T
	node    *cluster.Node
	options []string
	conn    *rawConn
	cached  map[string]string

	told, lost int
}

// connect begins with an empty cache.
func (c *cacher) connect() error {
	conn, err := net.DialTimeout("tcp", c.node.Addr(), time.Second)
	if err != nil {
		return err
	}
	c.conn = newRawConn(conn)
	c.cached = make(map[string]string)
	for _, command := range [][]string{{"HELLO", "3"}, append([]string{"CLIENT", "TRACKING", "ON"}, c.options...)} {
		reply, err := c.conn.do(command)
		if err == nil && reply[0] == '-' {
			err = errors.New(string(reply))
		}
		if err != nil {
			c.close()
			return err
		}
	}
	return nil
}

func (c *cacher) close() {
	if c.conn != nil {
		c.conn.conn.Close()
		c.conn, c.cached = nil, nil
	}
}

// run reads until stop is set.
func (c *cacher) run(stop *atomic.Bool, key func() string) {
	for !stop.Load() {
		if c.conn == nil {
			if c.connect() != nil {
				time.Sleep(20 * time.Millisecond) // the node is down
				continue
			}
		}
		if err := c.read(key(), key()); err != nil {
			c.lost++
			c.close()
		}
	}
}

// read reads keys in a pipeline. Errors of the node are no values.
func (c *cacher) read(keys ...string) error {
	if err := c.conn.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, key := range keys {
		fmt.Fprintf(&b, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
	}
	if _, err := c.conn.conn.Write(b.Bytes()); err != nil {
		return err
	}
	for _, key := range keys {
		for {
			reply, err := c.next()
			if err != nil {
				return err
			}
			if reply[0] == '>' {
				continue
			}
			if reply[0] != '-' {
				c.cached[key] = reply
			}
			break
		}
	}
	return nil
}

// next returns the next reply or message, which it heeds.
func (c *cacher) next() (string, error) {
	raw, err := c.conn.reply(nil)
	if err != nil {
		return "", err
	}
	reply := string(raw)
	if reply[0] != '>' {
		return reply, nil
	}
	c.told++
	if reply == allForgotten {
		clear(c.cached)
		return reply, nil
	}
	words := strings.Split(reply, "\r\n")
	for i := 5; i < len(words)-1; i += 2 {
		delete(c.cached, words[i])
	}
	return reply, nil
}

// settle takes in what is still on its way, until nothing that is cached differs from what another node says.
func (c *cacher) settle(other *rawConn) {
	c.t.Helper()
	eventually(c.t, 60*time.Second, func() error {
		for key, value := range c.cached {
			now, err := other.do([]string{"GET", key})
			if err != nil {
				return err
			}
			if string(now) == value {
				continue
			}
			stale := fmt.Errorf("%s: %s is cached as %q, and is %q", c.node.Name, key, value, now)
			if err := c.conn.conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				return err
			}
			if _, err := c.conn.r.Peek(1); err != nil {
				return stale
			}
			if _, err := c.next(); err != nil {
				return err
			}
			return stale
		}
		return nil
	})
}

// TestCachesAreNeverStale has clients cache what they read from each node while others write through all nodes, by
// themselves, in scripts and in transactions, while the leader is killed and while a backend is. When all is quiet, what is
// cached is what the cluster has.
func TestCachesAreNeverStale(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := within(t, 120*time.Second)
	key := func() string { return "k" + strconv.Itoa(rand.IntN(30)) }
	var stop, quiet atomic.Bool
	var reading, writing sync.WaitGroup
	var cachers []*cacher
	for _, n := range c.Nodes {
		for _, options := range [][]string{nil, {"BCAST"}, {"NOLOOP"}} {
			r := &cacher{t: t, node: n, options: options}
			check(t, r.connect())
			t.Cleanup(r.close)
			cachers = append(cachers, r)
			reading.Go(func() { r.run(&stop, key) })
		}
	}
	var written atomic.Int64
	for i := range 6 {
		writing.Go(func() { write(c.Nodes[i%3], i, &quiet, &written, key) })
	}
	awaitWrites := func(more int64) {
		t.Helper()
		from := written.Load()
		eventually(t, 60*time.Second, func() error {
			if n := written.Load() - from; n < more {
				return fmt.Errorf("%d writes", n)
			}
			return nil
		})
	}
	awaitWrites(500)
	leader := must(c.Leader(ctx))(t)
	check(t, leader.Kill())
	awaitWrites(300)
	check(t, leader.StartReady(within(t, 40*time.Second)))
	awaitWrites(300)
	follower := must(c.Follower(ctx))(t)
	check(t, follower.Backend.Kill())
	check(t, follower.Backend.StartReady(within(t, 40*time.Second)))
	awaitWrites(300)
	check(t, c.AwaitReady(within(t, 60*time.Second)))
	awaitWrites(300)
	quiet.Store(true)
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	other := dialRaw(t, must(c.Leader(ctx))(t).Addr(), 3)
	for _, r := range cachers {
		if r.conn == nil {
			check(t, r.connect())
		}
		r.settle(other)
		if r.told == 0 {
			t.Errorf("%s, %v: was told nothing", r.node.Name, r.options)
		}
		t.Logf("%s %v: %d messages, %d keys cached at the end, %d connections lost", r.node.Name, r.options, r.told, len(r.cached), r.lost)
	}
	if _, err := c.AwaitEqual(ctx); err != nil {
		t.Error(err)
	}
}

// write writes through a node until quiet is set.
func write(n *cluster.Node, id int, quiet *atomic.Bool, written *atomic.Int64, key func() string) {
	var conn *rawConn
	defer func() {
		if conn != nil {
			conn.conn.Close()
		}
	}()
	for i := 0; !quiet.Load(); i++ {
		if conn == nil {
			nc, err := net.DialTimeout("tcp", n.Addr(), time.Second)
			if err != nil {
				time.Sleep(20 * time.Millisecond) // the node is down
				continue
			}
			conn = newRawConn(nc)
		}
		value := fmt.Sprint(id, "-", i)
		commands := [][]string{{"SET", key(), value}}
		switch rand.IntN(10) {
		case 0:
			commands = [][]string{{"EVAL", "return redis.call('set', KEYS[1], ARGV[1])", "1", key(), value}}
		case 1:
			commands = [][]string{{"MULTI"}, {"SET", key(), value}, {"DEL", key()}, {"EXEC"}}
		case 2:
			commands = [][]string{{"SET", key(), value, "PX", "30"}}
		case 3:
			commands = [][]string{{"RENAME", key(), key()}}
		case 4:
			if rand.IntN(30) == 0 {
				commands = [][]string{{"FLUSHALL"}, {"SWAPDB", "0", "1"}, {"SWAPDB", "0", "1"}}
			}
		}
		if _, err := conn.pipeline(commands); err != nil {
			conn = nil
			continue
		}
		written.Add(1)
	}
}

// TestCachesOfAMinority: a node that is cut off does not know what others write. Its clients are told to forget all.
func TestCachesOfAMinority(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Apart: true})
	links := clustertest.NewLinks(t, c)
	check(t, c.StartReady(within(t, 40*time.Second)))
	ctx := within(t, 120*time.Second)
	n := must(c.Follower(ctx))(t)
	r := &cacher{t: t, node: n}
	check(t, r.connect())
	t.Cleanup(r.close)
	check(t, r.read("k"))
	if len(r.cached) != 1 {
		t.Fatal("nothing is cached")
	}
	links.CutOff(n)
	check(t, r.conn.conn.SetDeadline(time.Now().Add(60*time.Second)))
	for message := must(r.next())(t); message != allForgotten; message = must(r.next())(t) {
		if !strings.Contains(message, "\r\nk\r\n") { // its reply may have come with the message
			t.Fatalf("the client is told %q", message)
		}
	}
	check(t, r.read("k"))
	if len(r.cached) != 0 {
		t.Errorf("a node without a quorum answers: %v", r.cached)
	}
}

// What is told to a client that waits comes meanwhile; what its own command changes, behind the reply.
func TestCachesOfWaitingClients(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	n := must(c.Follower(within(t, 40*time.Second)))(t)
	r := &cacher{t: t, node: n}
	check(t, r.connect())
	t.Cleanup(r.close)
	other := dialRaw(t, n.Addr(), 3)
	must(other.do([]string{"RPUSH", "to", "a"}))(t)
	must(r.conn.do([]string{"LRANGE", "to", "0", "-1"}))(t)
	check(t, r.read("k"))
	if _, err := r.conn.conn.Write([]byte("BLMOVE from to LEFT LEFT 0\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, func() error {
		if list := must(other.do([]string{"CLIENT", "LIST"}))(t); !bytes.Contains(list, []byte("cmd=blmove")) {
			return errors.New("nobody waits")
		}
		return nil
	})
	must(other.do([]string{"SET", "k", "v"}))(t)
	if message := must(r.next())(t); !strings.Contains(message, "\r\nk\r\n") {
		t.Errorf("while it waits: %q", message)
	}
	must(other.do([]string{"RPUSH", "from", "x"}))(t)
	got := must(r.next())(t) + must(r.next())(t)
	if !strings.Contains(got, "$1\r\nx\r\n") || !strings.Contains(got, "$2\r\nto\r\n") {
		t.Errorf("then: %q", got)
	}
}
