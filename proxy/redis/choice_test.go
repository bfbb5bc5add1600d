package redis

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Members are popped once each, also when many clients want the same few.
func TestPopsAreExclusive(t *testing.T) {
	p := startProxy(t)
	const members, clients = 300, 8
	c := dial(t, p.addr)
	add := []string{"SADD", "s"}
	for i := range members {
		add = append(add, fmt.Sprint("member", i))
	}
	c.do(add...)
	var mu sync.Mutex
	seen := make(map[string]int)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Add(1)
		own := dial(t, p.addr)
		go func() {
			defer wg.Done()
			for {
				request := []string{"SPOP", "s"}
				if i%2 == 0 {
					request = append(request, "3")
				}
				reply := own.do(request...)
				if reply == "$-1\r\n" || reply == "*0\r\n" {
					return
				}
				got, ok := replyBulks([]byte(reply))
				if !ok {
					b, _ := replyBulk([]byte(reply))
					got = [][]byte{b}
				}
				mu.Lock()
				for _, m := range got {
					seen[string(m)]++
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if len(seen) != members {
		t.Errorf("%d of %d members were popped", len(seen), members)
	}
	for m, n := range seen {
		if n != 1 || !strings.HasPrefix(m, "member") {
			t.Errorf("%q was popped %d times", m, n)
		}
	}
	want(t, c.cmd("EXISTS s"), ":0\r\n")
}

// Somebody else takes the members that were picked, again and again: in the end the leader chooses.
func TestPopWhosePickIsAlwaysGone(t *testing.T) {
	p := startProxy(t)
	c, other := dial(t, p.addr), dial(t, p.redis)
	c.do("SADD", "s", "a", "b", "c")
	rounds, busy := 0, false
	p.log.proposeFails = func([][]byte) error {
		if busy {
			return nil
		}
		busy = true
		defer func() { busy = false }()
		// Behind the proxy's back: every set member is another one now.
		rounds++
		other.do("DEL", "s")
		other.do("SADD", "s", fmt.Sprint(rounds), fmt.Sprint(rounds, "x"))
		return nil
	}
	reply := c.cmd("SPOP s")
	p.log.proposeFails = nil
	if rounds != maxPicks+1 || !strings.Contains(reply, fmt.Sprint(rounds)) {
		t.Errorf("%q after %d rounds", reply, rounds)
	}
	want(t, c.cmd("SCARD s"), ":1\r\n")
}

// A part of a set that is too large to be picked through the proxy.
func TestPopOfManyMembers(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	const members, count = 6000, 5000
	for i := range members / 1000 {
		add := []string{"SADD", "s"}
		for j := range 1000 {
			add = append(add, fmt.Sprintf("%0300d", i*1000+j))
		}
		c.do(add...)
	}
	popped, ok := replyBulks([]byte(c.do("SPOP", "s", fmt.Sprint(count))))
	if !ok || len(popped) != count {
		t.Fatalf("%d members, %t", len(popped), ok)
	}
	seen := make(map[string]bool)
	for _, m := range popped {
		seen[string(m)] = true
	}
	if len(seen) != count {
		t.Errorf("%d different members", len(seen))
	}
	want(t, c.cmd("SCARD s"), fmt.Sprintf(":%d\r\n", members-count))
}

// A key that is due is not there for SPOP.
func TestPopMeetsDueKey(t *testing.T) {
	p := startProxy(t)
	c := dial(t, p.addr)
	c.cmd("SADD s a b")
	c.cmd("PEXPIRE s 20")
	deadline := time.Now().Add(20 * time.Millisecond)
	for !time.Now().After(deadline) {
		time.Sleep(time.Until(deadline) + time.Millisecond)
	}
	want(t, c.cmd("SPOP s 2"), "*0\r\n")
}
