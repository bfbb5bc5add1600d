package network

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Rule is what happens to the bytes on the way from one node to another.
type Rule struct {
	// Cut holds everything back, as lost packets do that TCP sends again and again: it arrives when the rule is lifted.
	Cut bool
	// Refuse breaks connections of the two nodes, and new ones, as a firewall does that answers.
	Refuse bool
	// Delay holds each piece back for so long, and up to Jitter longer. The order stays.
	Delay, Jitter time.Duration
}

// trigger is something to be done once, in the midst of a connection.
type trigger struct {
	size int64
	do   func()
}

// way is from one node to another, by their names.
type way struct{ from, to string }

// Network passes connections on between nodes.
type Network struct {
	owner func(accepted net.Conn) (name string, err error)

	mu        sync.Mutex
	rules     map[way]Rule
	triggers  map[way]*trigger
	changed   chan struct{} // closed when rules change, and replaced
	listeners map[string]net.Listener
	conns     map[*connection]struct{}

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New returns a Network. pids tells the process of each node, by name, at any time.
func New(pids func() map[string]int) *Network {
	n := &Network{
		owner:     func(accepted net.Conn) (string, error) { return ownerOf(accepted, pids()) },
		rules:     make(map[way]Rule),
		triggers:  make(map[way]*trigger),
		changed:   make(chan struct{}),
		listeners: make(map[string]net.Listener),
		conns:     make(map[*connection]struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Listen begins to pass on what is dialed at addr to the node called to, which listens at target.
func (n *Network) Listen(to, addr, target string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen in front of %s: %w", to, err)
	}
	n.mu.Lock()
	n.listeners[to] = ln
	n.mu.Unlock()
	n.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			n.wg.Go(func() { n.serve(c, to, target) })
		}
	})
	return nil
}

// Set changes the rule of the way from one node to another.
func (n *Network) Set(from, to string, change func(*Rule)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rule := n.rules[way{from, to}]
	change(&rule)
	n.rules[way{from, to}] = rule
	close(n.changed)
	n.changed = make(chan struct{})
	if !rule.Refuse {
		return
	}
	for c := range n.conns {
		if c.joins(from, to) {
			c.close()
		}
	}
}

// Break breaks the connections between two nodes that there are now.
func (n *Network) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.joins(a, b) {
			c.close()
		}
	}
}

// OnceAfter calls do, once, when so many bytes have passed from one node to another on one connection. No more pass on it
// before do returns. Another call for the same way takes its place.
func (n *Network) OnceAfter(from, to string, size int64, do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.triggers[way{from, to}] = &trigger{size, do}
}

// passed is called when so many bytes have passed on a connection.
func (n *Network) passed(w way, size int64) {
	n.mu.Lock()
	t := n.triggers[w]
	if t != nil && size >= t.size {
		delete(n.triggers, w)
	}
	n.mu.Unlock()
	if t != nil && size >= t.size {
		t.do()
	}
}

// Heal lifts all rules.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.triggers)
	clear(n.rules)
	close(n.changed)
	n.changed = make(chan struct{})
}

// Close ends everything and waits for it.
func (n *Network) Close() {
	n.cancel()
	n.mu.Lock()
	for _, ln := range n.listeners {
		ln.Close()
	}
	for c := range n.conns {
		c.close()
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// rule returns the rule of a way as it is now, and a channel that is closed when it may be another.
func (n *Network) rule(w way) (Rule, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[w], n.changed
}

// serve passes one connection on until it ends.
func (n *Network) serve(near net.Conn, to, target string) {
	defer near.Close()
	from, err := n.owner(near)
	if err != nil {
		return // the dialer has gone already
	}
	if out, _ := n.rule(way{from, to}); out.Refuse {
		return
	}
	if back, _ := n.rule(way{to, from}); back.Refuse {
		return
	}
	if !n.arrive(way{from, to}, time.Time{}) {
		return
	}
	far, err := (&net.Dialer{Timeout: time.Second}).DialContext(n.ctx, "tcp", target)
	if err != nil {
		n.arrive(way{to, from}, time.Time{}) // the refusal travels too
		return
	}
	defer far.Close()
	c := &connection{from: from, to: to, near: near, far: far}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	ended := n.ctx.Err() != nil
	n.mu.Unlock()
	if ended {
		c.close()
	}
	var wg sync.WaitGroup
	wg.Go(func() { n.pump(c, way{from, to}, near, far) })
	wg.Go(func() { n.pump(c, way{to, from}, far, near) })
	wg.Wait()
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
}

// connection is one that from has made to to.
type connection struct {
	from, to  string
	near, far net.Conn
}

func (c *connection) joins(a, b string) bool {
	return c.from == a && c.to == b || c.from == b && c.to == a
}

func (c *connection) close() {
	c.near.Close()
	c.far.Close()
}
