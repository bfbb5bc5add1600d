package guard

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// stampSize is that of a stamp, two numbers of 64 bits.
	stampSize = 16
	// controlSize is what the kernel wants for it, with a header.
	controlSize = 32
)

// stampedConn reads with the stamps of the kernel, which has one for each packet: of what a read takes, the one that
// came last.
type stampedConn struct {
	*net.TCPConn
	raw syscall.RawConn
	try func(fd uintptr) bool // receive, made once

	// Of the read that runs. The message is made once: that is what a read costs more than without a stamp.
	n       int
	err     unix.Errno
	message unix.Msghdr
	into    unix.Iovec
	control [controlSize]byte
	last    int64
}

// askForStamps reports whether the kernel will stamp what comes to a socket.
func askForStamps(socket syscall.Conn) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
	})
	return err == nil && refused == nil
}

// newStamper returns nil if the kernel does not stamp.
func newStamper(c *net.TCPConn) stamper {
	raw, err := c.SyscallConn()
	if err != nil || !askForStamps(c) {
		return nil
	}
	s := &stampedConn{TCPConn: c, raw: raw}
	s.message.Iov = &s.into
	s.message.SetIovlen(1)
	s.message.Control = &s.control[0]
	s.try = s.receive
	return s
}

func (s *stampedConn) stamp() int64 { return s.last }

// Read reads as net.TCPConn does.
func (s *stampedConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.into.Base = &p[0]
	s.into.SetLen(len(p))
	err := s.raw.Read(s.try)
	s.into.Base = nil
	switch {
	case err != nil:
		return 0, err
	case s.err != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError("recvmsg", s.err)}
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// receive reports false if there is nothing yet.
func (s *stampedConn) receive(fd uintptr) bool {
	for {
		s.message.SetControllen(controlSize)
		n, _, err := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.message)), 0)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		received(fd)
		s.n, s.err = int(n), err
		if err == 0 && s.message.Controllen > 0 {
			s.note(s.control[:s.message.Controllen])
		}
		return true
	}
}

// note takes the stamp out of what came with the bytes.
func (s *stampedConn) note(control []byte) {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err == nil && header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= stampSize {
		s.last = int64(binary.NativeEndian.Uint64(data))*1e9 + int64(binary.NativeEndian.Uint64(data[8:]))
	}
}
