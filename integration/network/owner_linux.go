package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownerOf returns which of the processes has dialed a connection that was accepted here, over IPv4.
func ownerOf(accepted net.Conn, pids map[string]int) (string, error) {
	inode, err := inodeOf(accepted.RemoteAddr(), accepted.LocalAddr())
	if err != nil {
		return "", err
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for name, pid := range pids {
		if holds(pid, want) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the socket at %v is of none of the nodes", accepted.RemoteAddr())
}

// diagRequest asks the kernel for one socket: struct inet_diag_req_v2 of linux/inet_diag.h behind a netlink header.
type diagRequest struct {
	unix.NlMsghdr
	family, protocol, extensions, _ uint8
	states                          uint32
	sourcePort, destinationPort     [2]byte
	source, destination             [16]byte
	device                          uint32
	cookie                          [2]uint32
}

const (
	sockDiagByFamily = 20
	anyState         = 1<<32 - 1
	anyCookie        = 1<<32 - 1
	// inodeAt is where the inode stands in struct inet_diag_msg, which follows the header of the answer.
	inodeAt = unix.SizeofNlMsghdr + 68
)

// inodeOf asks the kernel for the inode of the TCP socket from one address to another. Reading /proc/net/tcp would go
// through all sockets of the system.
func inodeOf(from, to net.Addr) (uint32, error) {
	req := diagRequest{
		family: unix.AF_INET, protocol: unix.IPPROTO_TCP, states: anyState, cookie: [2]uint32{anyCookie, anyCookie},
	}
	req.Len, req.Type, req.Flags = uint32(unsafe.Sizeof(req)), sockDiagByFamily, unix.NLM_F_REQUEST
	if !put(from, &req.source, &req.sourcePort) || !put(to, &req.destination, &req.destinationPort) {
		return 0, fmt.Errorf("%v to %v is not IPv4", from, to)
	}
	answer, err := askKernel((*[unsafe.Sizeof(req)]byte)(unsafe.Pointer(&req))[:])
	if err != nil {
		return 0, fmt.Errorf("look up the socket from %v to %v: %w", from, to, err)
	}
	inode := binary.NativeEndian.Uint32(answer[inodeAt:])
	if inode == 0 {
		return 0, fmt.Errorf("the socket from %v to %v is closed", from, to)
	}
	return inode, nil
}

// put writes an address as the kernel takes it.
func put(addr net.Addr, ip *[16]byte, port *[2]byte) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return false
	}
	copy(ip[:], tcp.IP.To4())
	binary.BigEndian.PutUint16(port[:], uint16(tcp.Port))
	return true
}

// askKernel sends a request about sockets and returns the answer.
func askKernel(request []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return nil, err
	}
	answer = answer[:n]
	if n >= unix.SizeofNlMsghdr+4 && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])))
	}
	if n < inodeAt+4 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	return answer, nil
}

// holds reports whether a process has a file of that name open.
func holds(pid int, name string) bool {
	path := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	dir, err := os.Open(path)
	if err != nil {
		return false // it has ended
	}
	defer dir.Close()
	files, err := dir.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, f := range slices.Backward(files) { // what was opened last is likely last
		if link, err := os.Readlink(filepath.Join(path, f)); err == nil && link == name {
			return true
		}
	}
	return false
}
