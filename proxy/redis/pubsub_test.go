package redis

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/raft"
)

// TestPubSubIsTheServers plays the dialogues of a file with a node and with a redis-server, and compares all bytes.
func TestPubSubIsTheServers(t *testing.T) {
	lines := readDialogue(t, "testdata/pubsub.txt")
	want := play(t, startRedis(t), lines)
	got := play(t, startProxy(t).addr, lines)
	for i, line := range lines {
		if g, w := helloID.ReplaceAllString(got[i], ""), helloID.ReplaceAllString(want[i], ""); g != w {
			t.Errorf("%s\n  node  %q\n  redis %q", line.text, g, w)
		}
	}
}

// dialogueLine is something that a client sends, and what it gets then.
type dialogueLine struct {
	text    string
	client  string
	command []string // nil: the client only reads
	replies int
}

func readDialogue(t *testing.T, name string) []dialogueLine {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []dialogueLine
	for n, text := range strings.Split(string(b), "\n") {
		if text == "" || text[0] == '#' {
			continue
		}
		line := dialogueLine{text: fmt.Sprintf("%s:%d: %s", name, n+1, text), client: text[:1]}
		command, count, reads := strings.Cut(text[2:], " | ")
		if text[1] == '<' {
			count, reads = strings.TrimSpace(text[2:]), true
		} else if line.command, err = splitLine(command); err != nil {
			t.Fatal(err)
		}
		if line.replies, err = strconv.Atoi(count); err != nil || !reads {
			t.Fatalf("%s: how many replies?", line.text)
		}
		lines = append(lines, line)
	}
	return lines
}

// play returns what the client of each line has got.
func play(t *testing.T, addr string, lines []dialogueLine) []string {
	t.Helper()
	clients := make(map[string]*client)
	got := make([]string, len(lines))
	for i, line := range lines {
		c := clients[line.client]
		if c == nil {
			c = dial(t, addr)
			clients[line.client] = c
		}
		if line.command != nil {
			c.send(appendRequest(nil, line.command...))
		}
		for range line.replies {
			var b bytes.Buffer
			if err := readReply(c.r, &b); err != nil {
				t.Fatalf("%s: %v", line.text, err)
			}
			got[i] += b.String()
		}
	}
	return got
}

// In a pipeline, each command sees what the ones before have done.
func TestSubscribeInPipeline(t *testing.T) {
	pipeline := "SET k v\r\nSUBSCRIBE c\r\nGET k\r\nUNSUBSCRIBE c\r\nGET k\r\nSUBSCRIBE d\r\nPING\r\nRESET\r\nGET k\r\nQUIT\r\nGET k\r\n"
	all := func(addr string) string {
		c := dial(t, addr)
		c.send([]byte(pipeline))
		var b bytes.Buffer
		if _, err := b.ReadFrom(c.r); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want(t, all(startProxy(t).addr), all(startRedis(t)))
}

// A message larger than what a relay holds arrives whole, and so do those around it.
// A client that wants no replies hears what came while its transaction ran.
func TestMessagesOfTransactionWithoutReplies(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("HELLO 3")
	c.cmd("SUBSCRIBE c")
	c.send([]byte("CLIENT REPLY OFF\r\nMULTI\r\nPUBLISH c m\r\nSUBSCRIBE d\r\nEXEC\r\nCLIENT REPLY ON\r\n"))
	want(t, c.reply(), ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n")
}

func TestLargeMessages(t *testing.T) {
	p := startProxy(t)
	sub, pub := dial(t, p.addr), dial(t, p.addr)
	sub.cmd("SUBSCRIBE c")
	for _, size := range []int{0, 1, relayBuffer - 40, relayBuffer, relayBuffer + 1, 1 << 20, 5} {
		message := strings.Repeat("x", size)
		want(t, pub.do("PUBLISH", "c", message), ":1\r\n")
		want(t, sub.reply(), string(appendRequest(nil, "message", "c", message)))
	}
}

// Messages come in order whatever their sizes are, while the client asks too.
func TestMessagesAndReplies(t *testing.T) {
	p := startProxy(t)
	sub, pub := dial(t, p.addr), dial(t, p.addr)
	sub.cmd("SUBSCRIBE c")
	const count = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range count {
			pub.do("PUBLISH", "c", fmt.Sprint(i)+strings.Repeat("-", i*i%9000))
		}
	})
	var asked strings.Builder
	for range 200 {
		asked.WriteString("GET k\r\nPING\r\nSUBSCRIBE c d\r\nUNSUBSCRIBE d\r\n")
	}
	sub.send([]byte(asked.String()))
	messages, replies := 0, 0
	for messages < count || replies < 200*5 {
		reply := sub.reply()
		if !strings.HasPrefix(reply, "*3\r\n$7\r\nmessage\r\n") {
			replies++
			continue
		}
		if _, text, _ := strings.Cut(reply, "\r\n$1\r\nc\r\n"); !strings.Contains(text, fmt.Sprint("\n", messages)) {
			t.Fatalf("message %d is %.80q", messages, text)
		}
		messages++
	}
	wg.Wait()
}

// What a client is subscribed to is shown, and it can be found by it.
func TestSubscribersInClientList(t *testing.T) {
	p := startProxy(t)
	sub, other := dial(t, p.addr), dial(t, p.addr)
	sub.cmd("SUBSCRIBE a b")
	sub.reply()
	sub.cmd("PSUBSCRIBE p*")
	sub.cmd("SSUBSCRIBE s")
	list := other.cmd("CLIENT LIST TYPE pubsub")
	if !strings.Contains(list, "flags=P db=0 sub=2 psub=1 ssub=1 multi=-1") || strings.Count(list, "id=") != 1 {
		t.Errorf("CLIENT LIST TYPE pubsub: %q", list)
	}
	if list := other.cmd("CLIENT LIST TYPE normal"); strings.Contains(list, "flags=P") {
		t.Errorf("CLIENT LIST TYPE normal: %q", list)
	}
	want(t, other.cmd("CLIENT KILL TYPE pubsub"), ":1\r\n")
	if !sub.eof() {
		t.Error("the subscriber lives on")
	}
	awaitNoSubscribers(t, p)
}

// awaitNoSubscribers waits until nobody holds a connection to the backend any more.
func awaitNoSubscribers(t *testing.T, p *proxy) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); p.store.Stats().Subscribers > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections for subscribers are left", p.store.Stats().Subscribers)
		}
	}
}

// Each way out gives the connection to the backend back.
func TestSubscribersLeave(t *testing.T) {
	p := startProxy(t)
	for _, leave := range []func(c *client){
		func(c *client) { c.cmd("UNSUBSCRIBE") },
		func(c *client) { c.cmd("RESET") },
		func(c *client) { c.cmd("QUIT") },
		func(c *client) { c.conn.Close() },
	} {
		c := dial(t, p.addr)
		c.cmd("SUBSCRIBE c")
		if n := p.store.Stats().Subscribers; n != 1 {
			t.Errorf("%d connections for one subscriber", n)
		}
		leave(c)
		awaitNoSubscribers(t, p)
	}
}

// A subscriber whose backend goes away must not believe that nothing is said.
func TestLostBackendClosesSubscribers(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.addr)
	c.cmd("SUBSCRIBE c")
	backend := dial(t, p.redis)
	if got := backend.cmd("CLIENT KILL TYPE pubsub"); got != ":1\r\n" {
		t.Fatalf("%q", got)
	}
	if !c.eof() {
		t.Error("the subscriber lives on")
	}
	want(t, other.cmd("PUBLISH c m"), ":0\r\n")
	awaitNoSubscribers(t, p)
}

// Without a barrier nobody knows what was said before.
func TestSubscribeNeedsABarrier(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	fails := fmt.Errorf("%w: no quorum", raft.ErrNotDone)
	p.log.readFails = func() error { return fails }
	want(t, c.cmd("SUBSCRIBE c"), "-TRYAGAIN nexus: not executed: no quorum\r\n")
	want(t, c.cmd("PING"), "+PONG\r\n")
	fails = nil
	want(t, c.cmd("SUBSCRIBE c"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
	// To leave, or to be told that it lives, a client needs nobody else.
	fails = raft.ErrNotDone
	want(t, c.cmd("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
	want(t, c.cmd("UNSUBSCRIBE c"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n")
}

// A client that does not read is closed, by the guard here, or by the backend when that has too much for it. Neither
// holds up others.
func TestSlowSubscriber(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Limits.WriteTimeout = 2 * time.Second })
	slow, quick, pub := dial(t, p.addr), dial(t, p.addr), dial(t, p.addr)
	slow.cmd("SUBSCRIBE c")
	quick.cmd("SUBSCRIBE c")
	message := strings.Repeat("x", 1<<20)
	var reader sync.WaitGroup
	reader.Go(func() {
		for range 20 {
			if err := readReply(quick.r, new(bytes.Buffer)); err != nil {
				t.Errorf("a client that reads: %v", err)
				return
			}
		}
	})
	for range 20 {
		pub.do("PUBLISH", "c", message)
	}
	reader.Wait()
	for end := time.Now().Add(40 * time.Second); p.store.Stats().Subscribers > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a client that does not read stays")
		}
	}
	want(t, pub.do("PUBLISH", "c", "end"), ":1\r\n")
	want(t, quick.reply(), string(appendRequest(nil, "message", "c", "end")))
}

func TestSubscribersAreBounded(t *testing.T) {
	p := startProxy(t)
	dial(t, p.redis).cmd("CONFIG SET maxclients 60")
	c := dial(t, p.addr)
	if got := c.cmd("SUBSCRIBE c"); !strings.HasPrefix(got, "-ERR nexus: connect for a subscriber: too many subscribers") {
		t.Errorf("%q", got)
	}
	want(t, c.cmd("PING"), "+PONG\r\n")
}

// The server waits for its relays.
func TestCloseWithSubscribers(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SUBSCRIBE c")
	dial(t, p.addr).cmd("MONITOR")
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := p.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if !c.eof() {
		t.Error("the subscriber lives on")
	}
	if n := p.store.Stats().Subscribers; n != 0 {
		t.Errorf("%d connections for subscribers are left", n)
	}
}

// What the backend throws away because it is too much is the end of the subscription, not a gap in it.
func TestBackendLimitsSubscribers(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.Limits.WriteTimeout = time.Minute })
	want(t, dial(t, p.redis).do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0"), replyOK)
	slow, pub := dial(t, p.addr), dial(t, p.addr)
	slow.cmd("SUBSCRIBE c")
	message := strings.Repeat("x", 1<<20)
	const count = 40
	for i := range count {
		pub.do("PUBLISH", "c", fmt.Sprint(i, message))
	}
	want(t, pub.do("PUBLISH", "c", "end"), ":0\r\n")
	for i := range count {
		var b bytes.Buffer
		if err := readReply(slow.r, &b); err != nil {
			if i == 0 {
				t.Error("nothing arrived")
			}
			return
		}
		want(t, b.String(), string(appendRequest(nil, "message", "c", fmt.Sprint(i, message))))
	}
	t.Error("all messages arrived, whatever the limit")
}

// A client that changes its protocol while messages come has each of them, those before the answer in the old protocol and
// those behind it in the new one.
func TestProtocolChangesAmongMessages(t *testing.T) {
	p := startProxy(t)
	for range 20 {
		sub, pub := dial(t, p.addr), dial(t, p.addr)
		sub.cmd("HELLO 3")
		sub.cmd("SUBSCRIBE c")
		const messages = 50
		pub.send(bytes.Repeat([]byte("PUBLISH c m\r\n"), messages))
		sub.send([]byte("HELLO 2\r\n"))
		message, answered := ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", false
		for got := 0; got < messages || !answered; {
			reply := sub.reply()
			if strings.Contains(reply, "server") {
				if reply[0] != '*' || answered {
					t.Fatalf("HELLO is answered by %q", reply)
				}
				message, answered = "*"+message[1:], true
				continue
			}
			want(t, reply, message)
			got++
		}
		if sub.conn.Close() != nil {
			t.Error("close")
		}
	}
}
