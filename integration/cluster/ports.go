package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports from below the range from which systems take the source ports of outgoing connections. A port from inside it
// can be taken, while a killed node is down, by a connection of anyone.
const (
	firstPort = 20000
	lastPort  = 32000
)

var reserved = struct {
	sync.Mutex
	locks map[int]*os.File
}{locks: make(map[int]*os.File)}

// FreePort returns a TCP port of 127.0.0.1 on which nobody listens and which no other call returns, in this process
// or another, for as long as this process lives.
func FreePort() (int, error) { return FreePorts(1) }

// FreePorts returns the first of n ports in a row, each as FreePort gives it.
func FreePorts(n int) (int, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("nexus-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	reserved.Lock()
	defer reserved.Unlock()
	for range 1000 {
		first := firstPort + rand.IntN(lastPort-firstPort-n)
		locks := make(map[int]*os.File, n)
		for port := first; port < first+n; port++ {
			lock, err := reserve(dir, port)
			if err != nil {
				return 0, err
			}
			if lock == nil {
				break
			}
			locks[port] = lock
		}
		if len(locks) == n {
			maps.Copy(reserved.locks, locks)
			return first, nil
		}
		for _, lock := range locks {
			lock.Close()
		}
	}
	return 0, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

// reserve locks a port among processes of this user. The kernel drops the lock when this process ends, however it
// ends. A nil file means that the port is taken.
func reserve(dir string, port int) (*os.File, error) {
	if reserved.locks[port] != nil {
		return nil, nil
	}
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !canListen(port) {
		lock.Close()
		return nil, nil
	}
	return lock, nil
}

func canListen(port int) bool {
	l, err := net.Listen("tcp", Address(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

const loopback = "127.0.0.1"

// Address returns the address of a port on this machine.
func Address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// Ports of one node and of its backend. A zero stands for a free one.
type Ports struct {
	Client, Raft, GRPC, Metrics, Backend int
}

// fill replaces zeros by free ports.
func (p *Ports) fill() error {
	for _, port := range []*int{&p.Client, &p.Raft, &p.GRPC, &p.Metrics, &p.Backend} {
		if *port != 0 {
			continue
		}
		free, err := FreePort()
		if err != nil {
			return err
		}
		*port = free
	}
	return nil
}
