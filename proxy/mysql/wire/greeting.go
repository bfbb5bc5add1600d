package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
)

// Greeting is the first packet of a server, of which a proxy changes the capabilities.
type Greeting struct {
	packet       []byte
	capsLow      int
	capsHigh     int
	Version      string
	ConnectionID uint32
	Capabilities uint32
	Extended     uint32 // capabilities that only MariaDB has
	Status       uint16
}

var errGreeting = errors.New("the server's greeting is not of protocol version 10")

// ParseGreeting reads a greeting.
func ParseGreeting(p []byte) (*Greeting, error) {
	if len(p) < 2 || p[0] != 10 {
		return nil, errGreeting
	}
	end := bytes.IndexByte(p[1:], 0)
	if end < 0 {
		return nil, errGreeting
	}
	g := &Greeting{packet: append([]byte(nil), p...), Version: string(p[1 : 1+end])}
	at := 1 + end + 1
	g.capsLow = at + 4 + 8 + 1
	g.capsHigh = g.capsLow + 2 + 1 + 2
	if g.capsHigh+2+1+10 > len(p) {
		return nil, errGreeting
	}
	g.ConnectionID = binary.LittleEndian.Uint32(p[at:])
	g.Capabilities = uint32(binary.LittleEndian.Uint16(p[g.capsLow:])) | uint32(binary.LittleEndian.Uint16(p[g.capsHigh:]))<<16
	if g.Capabilities&CapLongPassword == 0 { // which MariaDB has given another meaning
		g.Extended = binary.LittleEndian.Uint32(p[g.capsHigh+9:])
	}
	g.Status = binary.LittleEndian.Uint16(p[g.capsLow+3:])
	return g, nil
}

// Packet returns the greeting with other capabilities. A server that has none of those that only MariaDB has says so.
func (g *Greeting) Packet(capabilities, extended uint32) []byte {
	capabilities &^= CapLongPassword
	if extended == 0 {
		capabilities |= CapLongPassword
	}
	p := append([]byte(nil), g.packet...)
	binary.LittleEndian.PutUint16(p[g.capsLow:], uint16(capabilities))
	binary.LittleEndian.PutUint16(p[g.capsHigh:], uint16(capabilities>>16))
	reserved := p[g.capsHigh+3 : g.capsHigh+13]
	binary.LittleEndian.PutUint32(reserved[6:], extended)
	return p
}

// Hello returns a greeting of a server's own, to a client that is not let in whatever it answers.
func Hello(version string, capabilities uint32) []byte {
	salt := make([]byte, 20)
	_, _ = rand.Read(salt) // never fails
	for i := range salt {
		salt[i] = '!' + salt[i]%90 // a zero would end it
	}
	p := append([]byte{10}, version...)
	p = append(p, 0, 0, 0, 0, 0) // no connection
	p = append(p, salt[:8]...)
	p = append(p, 0)
	capabilities |= CapLongPassword // nothing that only MariaDB has
	p = binary.LittleEndian.AppendUint16(p, uint16(capabilities))
	p = append(p, 45) // utf8mb4_general_ci
	p = binary.LittleEndian.AppendUint16(p, StatusAutocommit)
	p = binary.LittleEndian.AppendUint16(p, uint16(capabilities>>16))
	p = append(p, byte(len(salt)+1))
	p = append(p, make([]byte, 10)...)
	p = append(append(p, salt[8:]...), 0)
	return append(p, "mysql_native_password\x00"...)
}
