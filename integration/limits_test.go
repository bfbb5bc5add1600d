package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// TestLimits lets hostile clients run into each limit of a live node, which goes on to serve others.
func TestLimits(t *testing.T) {
	t.Parallel()
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{
		"-maxClients", "20", "-maxRequest", "1000000", "-slowClientTimeout", "300ms", "-idleTimeout", "2s", "-maxClientRate", "50000",
	}})
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	t.Run("TooLarge", func(t *testing.T) {
		for request, want := range map[string]string{
			"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000001\r\n":                          "-ERR Protocol error: invalid bulk length",
			"*2\r\n$600000\r\n" + strings.Repeat("x", 600000) + "\r\n$600000\r\n": "-ERR Protocol error: too big request, the limit is 1000000 bytes",
			strings.Repeat("x", 70000):                                            "-ERR Protocol error: too big inline request",
			"*1048577\r\n":                                                        "-ERR Protocol error: invalid multibulk length",
		} {
			r := dialLines(t, n)
			go func() { _, _ = io.WriteString(r.conn, request) }() // it may be closed before all is sent
			if got := r.line(t); got != want {
				t.Errorf("%.40q: got %q, want %q", request, got, want)
			}
			wantClosed(t, r)
		}
	})
	t.Run("DoesNotRead", func(t *testing.T) {
		r := dialLines(t, n)
		r.send(t, "SET large "+strings.Repeat("x", 60000))
		r.line(t)
		// 600 MB are asked for and nothing is read.
		go func() { _, _ = io.WriteString(r.conn, strings.Repeat("GET large\r\n", 10000)) }()
		eventually(t, 40*time.Second, func() error {
			if got := clients(t, n); got > 1 { // the one that asks
				return fmt.Errorf("%d clients are connected", got)
			}
			return nil
		})
		if resident := residentBytes(t, n.Pid()); resident > 300<<20 {
			t.Errorf("the node takes %d MiB", resident>>20)
		}
	})
	t.Run("Idle", func(t *testing.T) {
		idle, half, subscriber, blocked := dialLines(t, n), dialLines(t, n), dialLines(t, n), dialLines(t, n)
		_, err := io.WriteString(half.conn, "*2\r\n$3\r\nGET\r\n$1") // and no more
		check(t, err)
		subscriber.send(t, "SUBSCRIBE news")
		for range 6 {
			subscriber.line(t)
		}
		blocked.send(t, "BLPOP list 0")
		idle.send(t, "CONFIG GET timeout")
		for _, want := range []string{"*2", "$7", "timeout", "$1", "2"} {
			if got := idle.line(t); got != want {
				t.Errorf("CONFIG GET timeout: got %q, want %q", got, want)
			}
		}
		wantClosed(t, idle)
		wantClosed(t, half)
		active := dialLines(t, n)
		active.send(t, "PUBLISH news x", "RPUSH list y")
		if got := subscriber.line(t); got != "*3" {
			t.Errorf("a subscriber got %q", got)
		}
		if got := blocked.line(t); got != "*2" {
			t.Errorf("a client that was blocked got %q", got)
		}
	})
	t.Run("TooMany", func(t *testing.T) {
		var list []*lineClient
		for range 30 {
			r := dialLines(t, n)
			_, _ = io.WriteString(r.conn, "PING\r\n") // it may be closed already
			list = append(list, r)
		}
		served := 0
		for _, r := range list {
			line, err := r.r.ReadString('\n')
			switch {
			case err == nil && line == "+PONG\r\n":
				served++
			case err == nil && line == "-ERR max number of clients reached\r\n", errors.Is(err, io.EOF), isReset(err):
			default:
				t.Errorf("got %q, %v", line, err)
			}
		}
		if served == 0 || served > 20 {
			t.Errorf("%d of 30 clients were served, want 20 at most", served)
		}
		for _, r := range list {
			r.conn.Close()
		}
		eventually(t, 40*time.Second, func() error { _, err := raw(n, "PING"); return err })
	})
}

// TestRateLimit: a client that sends more commands a second than it may is held up, told nothing and refused nothing.
// Others go on meanwhile, and what it was answered is there after a crash.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	const perSecond, sent = 100, 600
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-maxClientRate", fmt.Sprint(perSecond)}})
	check(t, c.StartReady(within(t, 40*time.Second)))
	n := c.Nodes[0]
	flood := func(key string) *lineClient {
		r := dialLines(t, n)
		r.send(t, strings.TrimSuffix(strings.Repeat("INCR "+key+"\r\n", sent), "\r\n"))
		return r
	}
	acknowledged := func(r *lineClient, from, to int) {
		t.Helper()
		for i := from; i <= to; i++ {
			if got, want := r.line(t), fmt.Sprint(":", i); got != want {
				t.Fatalf("command %d is answered %q, want %q", i, got, want)
			}
		}
	}

	began := time.Now()
	greedy := flood("whole")
	acknowledged(greedy, 1, perSecond+1) // from here on it waits
	modest := dialLines(t, n)
	modest.send(t, strings.Repeat("SET other x\r\n", perSecond-2)+"GET whole")
	for range perSecond - 2 {
		if got := modest.line(t); got != "+OK" {
			t.Fatalf("another client is answered %q", got)
		}
	}
	modest.line(t) // the length
	if got := modest.line(t); got == fmt.Sprint(sent) {
		t.Error("another client had to wait until the one that sends too much was done")
	}
	acknowledged(greedy, perSecond+2, sent)
	if took, least := time.Since(began), (sent-perSecond)*time.Second/perSecond; took < least {
		t.Errorf("%d commands took %v, want %v at least", sent, took, least)
	}
	if got := metricOf(t, n, "nexus_redis_clients_slowed_total"); got == "0" {
		t.Error("the metric does not say that a client was slowed down")
	}

	// A transaction is held up in its midst, and is one all the same.
	tx := dialLines(t, n)
	tx.send(t, "MULTI\r\n"+strings.Repeat("INCR tx\r\n", 2*perSecond)+"EXEC")
	for i := range 1 + 2*perSecond {
		if got := tx.line(t); got != "+OK" && got != "+QUEUED" {
			t.Fatalf("line %d of a transaction is %q", i, got)
		}
		if i == perSecond+1 { // it waits
			if got := must(raw(n, "EXISTS", "tx"))(t); got != ":0" {
				t.Errorf("half a transaction was carried out: %q", got)
			}
		}
	}
	if got, want := tx.line(t), fmt.Sprint("*", 2*perSecond); got != want {
		t.Errorf("EXEC is answered %q, want %q", got, want)
	}
	acknowledged(tx, 1, 2*perSecond)

	// Who leaves while it has to wait is not kept, nor is what it has not been let do.
	before := clients(t, n)
	gone := flood("left")
	acknowledged(gone, 1, perSecond+1)
	gone.conn.Close()
	eventually(t, 40*time.Second, func() error {
		if got := clients(t, n); got > before {
			return fmt.Errorf("%d clients are connected, want %d", got, before)
		}
		return nil
	})
	if got := counter(t, n, "left"); got <= perSecond || got >= sent {
		t.Errorf("%d commands of a client were carried out that left after %d answers", got, perSecond+1)
	}

	crashed := flood("crash")
	acknowledged(crashed, 1, perSecond+perSecond/2)
	check(t, n.Kill())
	answered := perSecond + perSecond/2
	for {
		line, err := crashed.r.ReadString('\n')
		if err != nil || !strings.HasSuffix(line, "\r\n") {
			break
		}
		answered++
	}
	check(t, n.Start())
	check(t, n.AwaitReady(within(t, 40*time.Second)))
	if got := counter(t, n, "crash"); got < answered || got > sent {
		t.Errorf("%d commands were answered before the crash, %d are there after it", answered, got)
	}
}

// counter returns the number a key holds.
func counter(t *testing.T, n *cluster.Node, key string) (value int) {
	t.Helper()
	r := dialLines(t, n)
	defer r.conn.Close()
	r.send(t, "GET "+key)
	r.line(t) // its length
	_, err := fmt.Sscan(r.line(t), &value)
	check(t, err)
	return value
}

// TestHandshakeLimits: who connects and does not say who it is, with TLS or without, is closed; who does is not.
func TestHandshakeLimits(t *testing.T) {
	t.Parallel()
	certs := t.TempDir()
	check(t, cluster.WriteCertificates(certs, "127.0.0.1"))
	c := newCluster(t, cluster.Options{Size: 1, Flags: []string{"-handshakeTimeout", "3s", "-proxyPassword", "secret"}})
	tlsc := newCluster(t, cluster.Options{Size: 1, Flags: []string{
		"-handshakeTimeout", "3s", "-proxyPassword", "secret", "-proxyCert", filepath.Join(certs, "node.pem"), "-proxyKey", filepath.Join(certs, "node-key.pem"),
	}})
	for _, c := range []*cluster.Cluster{c, tlsc} {
		check(t, c.StartReady(within(t, 40*time.Second)))
	}
	plain := c.Nodes[0]
	known := dialLines(t, plain)
	known.send(t, "AUTH secret")
	if got := known.line(t); got != "+OK" {
		t.Fatalf("AUTH: %q", got)
	}
	silent, busy := dialLines(t, plain), dialLines(t, plain)
	go func() { // who asks all the time, but never logs in, is no better
		for {
			if _, err := io.WriteString(busy.conn, "GET k\r\n"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	wantClosed(t, silent)
	wantClosed(t, busy)
	known.send(t, "PING")
	if got := known.line(t); got != "+PONG" {
		t.Errorf("who has logged in gets %q", got)
	}

	n := tlsc.Nodes[0]
	mute := dialLines(t, n) // says nothing at all
	wantClosed(t, mute)
	conn := must(tls.Dial("tcp", n.Addr(), clientTLS(t, certs, "client")))(t)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a client that never logs in behind TLS is kept")
	}
}

func wantClosed(t *testing.T, c *lineClient) {
	t.Helper()
	_, err := io.Copy(io.Discard, c.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is not closed")
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

// clients is how many a node has connected.
func clients(t *testing.T, n *cluster.Node) (count int) {
	t.Helper()
	_, err := fmt.Sscan(metricOf(t, n, "nexus_redis_clients"), &count)
	check(t, err)
	return count
}

// metricOf returns the value of a metric of a node that has no labels.
func metricOf(t *testing.T, n *cluster.Node, name string) string {
	t.Helper()
	resp, err := http.Get("http://" + n.MetricsAddr() + "/metrics")
	check(t, err)
	defer resp.Body.Close()
	for line := range strings.Lines(string(must(io.ReadAll(resp.Body))(t))) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("%s has no metric %s", n.Name, name)
	return ""
}
