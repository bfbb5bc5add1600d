package lan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Outside is the name of this process in rules.
const Outside = "outside"

// ErrUnavailable is wrapped by errors of New where there are no namespaces or devices to be had.
var ErrUnavailable = errors.New("network namespaces are not to be had here: they take Linux, root and /dev/net/tun")

// Rule is what happens to packets on the way from one host to another.
type Rule struct {
	// Drop loses all.
	Drop bool
	// Loss and Repeat are the parts of the packets that are lost, and that arrive twice.
	Loss, Repeat float64
	// Delay is how long each is under way, and up to Jitter longer, so that one may overtake another. Without Jitter none does.
	Delay, Jitter time.Duration
}

// way is from one host to another, by their names.
type way struct{ from, to string }

// LAN is the switch.
type LAN struct {
	subnet byte
	hosts  map[[4]byte]*host

	mu     sync.RWMutex
	rules  map[way]Rule
	queues map[way]chan<- late // of ways that had a delay
	closed bool

	wg sync.WaitGroup
}

// late is a packet that is under way.
type late struct {
	packet []byte
	due    time.Time
}

// queueSize is how many packets may be under way in order; more are lost, as in a router.
const queueSize = 16 << 10

// host is a device and the namespace in which it is.
type host struct {
	name      string
	addr      [4]byte
	device    *os.File // this end of it: a read or write is one packet
	namespace *os.File // nil for this process's own
}

// New makes a network for hosts of these names, and for this process.
func New(names ...string) (*LAN, error) {
	subnet, err := freeSubnet()
	if err != nil {
		return nil, err
	}
	l := &LAN{subnet: subnet, hosts: make(map[[4]byte]*host), rules: make(map[way]Rule), queues: make(map[way]chan<- late)}
	for i, name := range append([]string{Outside}, names...) {
		h := &host{name: name, addr: l.address(i + 1)}
		if err := h.open(i > 0); err != nil {
			return nil, errors.Join(fmt.Errorf("a device for %s: %w", name, err), l.Close())
		}
		l.hosts[h.addr] = h
	}
	for _, h := range l.hosts {
		l.wg.Go(func() { l.pass(h) })
	}
	return l, nil
}

func (l *LAN) address(number int) [4]byte { return [4]byte{198, 18, l.subnet, byte(number)} }

// freeSubnet draws one of those that are set aside for tests of networks, which this machine is not in yet.
func freeSubnet() (byte, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return 0, err
	}
	for range 100 {
		subnet := byte(rand.IntN(256))
		taken := false
		for _, a := range addrs {
			if ip, ok := a.(*net.IPNet); ok && ip.Contains(net.IPv4(198, 18, subnet, 1)) {
				taken = true
			}
		}
		if !taken {
			return subnet, nil
		}
	}
	return 0, errors.New("no free subnet in 198.18.0.0/16")
}

// Addr is the IP address of a host.
func (l *LAN) Addr(name string) string {
	h := l.named(name)
	return net.IP(h.addr[:]).String()
}

// Namespace is where the processes of a host are to run.
func (l *LAN) Namespace(name string) *os.File { return l.named(name).namespace }

func (l *LAN) named(name string) *host {
	for _, h := range l.hosts {
		if h.name == name {
			return h
		}
	}
	panic("lan: no host " + name)
}

// Set changes the rule of the way from one host to another.
func (l *LAN) Set(from, to string, change func(*Rule)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rule := l.rules[way{from, to}]
	change(&rule)
	l.rules[way{from, to}] = rule
	if rule.Delay > 0 && l.queues[way{from, to}] == nil && !l.closed {
		queue, host := make(chan late, queueSize), l.named(to)
		l.queues[way{from, to}] = queue
		l.wg.Go(func() { host.deliver(queue) })
	}
}

// deliver lets packets arrive when they are due, in the order in which they were sent.
func (h *host) deliver(queue <-chan late) {
	for l := range queue {
		time.Sleep(time.Until(l.due))
		_, _ = h.device.Write(l.packet) // one that cannot be taken is lost
	}
}

// Heal lifts all rules. Packets that are under way arrive when they are due.
func (l *LAN) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.rules)
}

// Close ends it, and waits for the packets that are under way. The processes in it must have ended.
func (l *LAN) Close() error {
	l.mu.Lock()
	if !l.closed {
		for _, queue := range l.queues {
			close(queue)
		}
	}
	l.closed = true
	l.mu.Unlock()
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.close())
	}
	l.wg.Wait()
	return errors.Join(errs...)
}

// pass passes on what a host sends, until its device is closed.
func (l *LAN) pass(from *host) {
	const largest = 64 << 10
	buf := make([]byte, largest)
	for {
		n, err := from.device.Read(buf)
		if err != nil {
			return
		}
		if to := l.destination(buf[:n]); to != nil {
			l.forward(from, to, buf[:n])
		}
	}
}

// destination of an IPv4 packet; nil if that is no host.
func (l *LAN) destination(packet []byte) *host {
	const headerSize = 20
	if len(packet) < headerSize || packet[0]>>4 != 4 {
		return nil
	}
	return l.hosts[[4]byte(packet[16:20])]
}

// forward lets a packet arrive, late, twice or not at all.
func (l *LAN) forward(from, to *host, packet []byte) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	rule := l.rules[way{from.name, to.name}]
	if l.closed || rule.Drop {
		return
	}
	times := 1
	if rand.Float64() < rule.Repeat {
		times++
	}
	for range times {
		if rand.Float64() < rule.Loss {
			continue
		}
		delay := rule.Delay
		if rule.Jitter > 0 {
			delay += rand.N(rule.Jitter)
		}
		if delay == 0 {
			_, _ = to.device.Write(packet) // one that cannot be taken is lost
			continue
		}
		kept := append([]byte(nil), packet...)
		if rule.Jitter == 0 {
			select {
			case l.queues[way{from.name, to.name}] <- late{kept, time.Now().Add(delay)}:
			default:
			}
			continue
		}
		l.wg.Add(1) // while closed is not set: Close waits
		time.AfterFunc(delay, func() {
			defer l.wg.Done()
			_, _ = to.device.Write(kept)
		})
	}
}
