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
	g.Status = binary.LittleEndian.Uint16(p[g.capsLow+3:])
	return g, nil
}

// Packet returns the greeting with capabilities, and without those that only MariaDB has.
func (g *Greeting) Packet(capabilities uint32) []byte {
	p := append([]byte(nil), g.packet...)
	binary.LittleEndian.PutUint16(p[g.capsLow:], uint16(capabilities))
	binary.LittleEndian.PutUint16(p[g.capsHigh:], uint16(capabilities>>16))
	reserved := p[g.capsHigh+3 : g.capsHigh+13]
	clear(reserved[6:])
	return p
}
