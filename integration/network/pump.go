package network

import (
	"math/rand/v2"
	"net"
	"time"
)

const (
	pieceSize = 32 << 10
	// pieces is how many are on the way at a time. What comes meanwhile waits with its sender.
	pieces = 64
)

// piece is some bytes on their way.
type piece struct {
	data []byte
	due  time.Time
}

// pump passes bytes from src to dst by the rule of w, until one of them ends; then it ends both, once word of that could
// travel.
func (n *Network) pump(c *connection, w way, src, dst net.Conn) {
	defer c.close()
	line := make(chan piece, pieces)
	n.wg.Go(func() {
		defer close(line)
		n.receive(w, src, line)
	})
	defer func() {
		c.close()
		for range line { //revive:disable-line:empty-block // let receive end
		}
	}()
	var passed int64
	for p := range line {
		if !n.arrive(w, p.due) {
			return
		}
		if _, err := dst.Write(p.data); err != nil {
			n.arrive(way{w.to, w.from}, time.Time{})
			return
		}
		passed += int64(len(p.data))
		n.passed(w, passed)
	}
	n.arrive(w, time.Time{})
}

// receive reads src until it ends.
func (n *Network) receive(w way, src net.Conn, line chan<- piece) {
	for {
		buf := make([]byte, pieceSize)
		size, err := src.Read(buf)
		if size > 0 {
			rule, _ := n.rule(w)
			delay := rule.Delay
			if rule.Jitter > 0 {
				delay += rand.N(rule.Jitter)
			}
			line <- piece{data: buf[:size], due: time.Now().Add(delay)}
		}
		if err != nil {
			return
		}
	}
}

// arrive waits until a piece is due and its way is not cut. False: the network ends.
func (n *Network) arrive(w way, due time.Time) bool {
	if wait := time.Until(due); wait > 0 {
		select {
		case <-time.After(wait):
		case <-n.ctx.Done():
			return false
		}
	}
	for {
		rule, changed := n.rule(w)
		if !rule.Cut {
			return true
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return false
		}
	}
}
