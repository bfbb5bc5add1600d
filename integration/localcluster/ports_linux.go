package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// hold binds a port without listening there. Servers, which set SO_REUSEADDR, still can; connections without a port of
// their own are given others.
func hold(port int) (io.Closer, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	held := os.NewFile(uintptr(fd), fmt.Sprintf("port %d", port))
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return nil, closing(held, os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, closing(held, os.NewSyscallError("bind", err))
	}
	return held, nil
}

// closing returns err, after which nobody needs c.
func closing(c io.Closer, err error) error {
	_ = c.Close()
	return err
}

// States of sockets in /proc/net/tcp.
const (
	stateTimeWait = "06"
	stateListen   = "0A"
)

// holderOf tells who has a port that could not be bound because of err.
func holderOf(port int, err error) holder {
	sockets := socketsAt(port)
	if len(sockets) == 0 {
		return holder{who: err.Error()}
	}
	if i := slices.IndexFunc(sockets, func(s socket) bool { return s.state == stateListen }); i >= 0 {
		return holder{who: sockets[i].process() + " listens there"}
	}
	s := sockets[0]
	if s.state == stateTimeWait {
		return holder{who: "a connection to " + s.remote + " was closed less than a minute ago (TIME_WAIT)", connection: true}
	}
	return holder{who: fmt.Sprintf("%s has a connection to %s from there", s.process(), s.remote), connection: true}
}

// socket is a line of /proc/net/tcp or tcp6.
type socket struct{ remote, state, inode string }

// socketsAt returns the sockets of which a port is the near end. What cannot be read is left out: it only makes the
// message poorer.
func socketsAt(port int) []socket {
	var found []socket
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				found = append(found, socket{remote: address(f[2]), state: f[3], inode: f[9]})
			}
		}
	}
	return found
}

// address reads an address of /proc/net/tcp: words of the machine in hexadecimal digits, a colon and the port.
func address(text string) string {
	host, port, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(ip)%4 != 0 {
		return text
	}
	for word := range slices.Chunk(ip, 4) {
		slices.Reverse(word)
	}
	return net.JoinHostPort(net.IP(ip).String(), strconv.FormatUint(number, 10))
}

// process is the name and number of the process that has the socket, as far as this user may know.
func (s socket) process() string {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "somebody"
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+s.inode+"]" {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		if err != nil {
			break
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return "somebody"
}
