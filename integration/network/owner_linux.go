package network

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ownerOf returns which of the processes has the socket at addr, an IPv4 address of this machine.
func ownerOf(addr net.Addr, pids map[string]int) (string, error) {
	inode, err := inodeOf(addr)
	if err != nil {
		return "", err
	}
	want := "socket:[" + inode + "]"
	for name, pid := range pids {
		if holds(pid, want) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the socket at %v is of none of the nodes", addr)
}

// inodeOf looks the socket at addr up among those of the system.
func inodeOf(addr net.Addr) (string, error) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return "", fmt.Errorf("%v is no IPv4 address", addr)
	}
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(tcp.IP.To4()), tcp.Port)
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[1] == want && fields[9] != "0" {
			return fields[9], nil
		}
	}
	return "", fmt.Errorf("no socket at %v", addr)
}

// holds reports whether a process has a file of that name open.
func holds(pid int, name string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // it has ended
	}
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && link == name {
			return true
		}
	}
	return false
}
