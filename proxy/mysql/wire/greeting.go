package wire

import (
	"bytes"
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
