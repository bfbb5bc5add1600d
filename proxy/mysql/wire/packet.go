package wire

import (
	"encoding/binary"
	"fmt"
)

// Commands.
const (
	ComQuit             = 0x01
	ComInitDB           = 0x02
	ComQuery            = 0x03
	ComFieldList        = 0x04
	ComRefresh          = 0x07
	ComStatistics       = 0x09
	ComProcessKill      = 0x0c
	ComPing             = 0x0e
	ComChangeUser       = 0x11
	ComStmtPrepare      = 0x16
	ComStmtExecute      = 0x17
	ComStmtSendLongData = 0x18
	ComStmtClose        = 0x19
	ComStmtReset        = 0x1a
	ComSetOption        = 0x1b
	ComStmtFetch        = 0x1c
	ComResetConnection  = 0x1f
)

// Capabilities.
const (
	CapLongPassword     = 1 << 0
	CapCompress         = 1 << 5
	CapProtocol41       = 1 << 9
	CapSSL              = 1 << 11
	CapSecureConnection = 1 << 15
	CapMultiStatements  = 1 << 16
	CapMultiResults     = 1 << 17
	CapPluginAuth       = 1 << 19
	CapDeprecateEOF     = 1 << 24
	CapZstd             = 1 << 26
	CapQueryAttributes  = 1 << 27
	CapMultiFactor      = 1 << 28
)

// CapExtendedMetadata of MariaDB tells more about the type of a column: that a text is JSON.
const CapExtendedMetadata = 1 << 3

// Status flags.
const (
	StatusInTransaction = 1 << 0
	StatusAutocommit    = 1 << 1
	StatusMoreResults   = 1 << 3
	StatusCursor        = 1 << 6
	StatusDropped       = 1 << 8 // a database was
	// StatusIndexes are what the server says about the use of indexes.
	StatusIndexes = 1<<4 | 1<<5
	// StatusOfStatement are those of the statement that was executed last, rather than of the session: these, results and cursors, a database that
	// was dropped, what a statement that was prepared returns now, that it was slow, parameters for output, and that the session's state is told behind it.
	StatusOfStatement = StatusIndexes | StatusMoreResults | StatusCursor | 1<<7 | StatusDropped | 1<<10 | 1<<11 | 1<<12 | 1<<14
	// StatusNoBackslashEscapes and StatusAnsiQuotes are what the sql_mode says about how a text is read.
	StatusNoBackslashEscapes = 1 << 9
	StatusAnsiQuotes         = 1 << 15
	// StatusReadOnly is set in a transaction that may not write.
	StatusReadOnly = 1 << 13
)

// First bytes of packets.
const (
	HeaderOK        = 0x00
	HeaderLocalFile = 0xfb
	HeaderEOF       = 0xfe
	HeaderError     = 0xff
)

// LeastAnswer is how many bytes the server answers a command with at least, the header of the packet included: OK without
// anything to tell.
const LeastAnswer = headerSize + 7

// Error is an error packet.
type Error struct {
	Code    uint16
	State   string
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("ERROR %d (%s): %s", e.Code, e.State, e.Message) }

// ParseError reads an error packet.
func ParseError(p []byte) *Error {
	e := &Error{Code: 1105, State: "HY000"}
	if len(p) < 3 {
		return e
	}
	e.Code = binary.LittleEndian.Uint16(p[1:])
	rest := p[3:]
	if len(rest) >= 6 && rest[0] == '#' {
		e.State, rest = string(rest[1:6]), rest[6:]
	}
	e.Message = string(rest)
	return e
}

// Packet returns e as a packet.
func (e *Error) Packet() []byte {
	p := []byte{HeaderError, byte(e.Code), byte(e.Code >> 8), '#'}
	p = append(p, e.State...)
	return append(p, e.Message...)
}

// OK returns a packet that says so, with no rows, id or warnings.
func OK(status uint16) []byte {
	return []byte{HeaderOK, 0, 0, byte(status), byte(status >> 8), 0, 0}
}

// OKRows is OK with the number of changed rows, and of warnings, and what is said about them in words.
func OKRows(status uint16, rows uint64, warnings int, info string) []byte {
	p := AppendLenenc([]byte{HeaderOK}, rows)
	p = append(p, 0, byte(status), byte(status>>8), byte(warnings), byte(warnings>>8))
	if info == "" {
		return p
	}
	return append(AppendLenenc(p, uint64(len(info))), info...)
}

// IsEnd reports whether p, in the place of a row, ends the rows: EOF, or OK in its place.
func IsEnd(p []byte, deprecateEOF bool) bool {
	if len(p) == 0 || p[0] != HeaderEOF {
		return false
	}
	if deprecateEOF {
		return len(p) < MaxPayload
	}
	return len(p) < 9
}

// StatusAt returns where in an OK or EOF packet its status flags stand; -1 if it is too short.
func StatusAt(p []byte, deprecateEOF bool) int {
	if len(p) == 0 {
		return -1
	}
	if p[0] == HeaderEOF && !deprecateEOF {
		return place(p, 3)
	}
	at := 1
	for range 2 { // affected rows, last insert id
		if at >= len(p) {
			return -1
		}
		at += lenencSize(p[at])
	}
	return place(p, at)
}

// Warnings returns how many an OK packet tells of.
func Warnings(p []byte) int {
	at := StatusAt(p, true)
	if at < 0 || place(p, at+2) < 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint16(p[at+2:]))
}

func place(p []byte, at int) int {
	if at+2 > len(p) {
		return -1
	}
	return at
}

// lenencSize is the size of a length-encoded integer that begins with b.
func lenencSize(b byte) int {
	switch b {
	case 0xfc:
		return 3
	case 0xfd:
		return 4
	case 0xfe:
		return 9
	}
	return 1
}

// Lenenc reads a length-encoded integer. ok is false if p ends early, or at a NULL.
func Lenenc(p []byte) (value uint64, rest []byte, ok bool) {
	if len(p) == 0 || p[0] == 0xfb || p[0] == 0xff || len(p) < lenencSize(p[0]) {
		return 0, p, false
	}
	switch p[0] {
	case 0xfc:
		return uint64(binary.LittleEndian.Uint16(p[1:])), p[3:], true
	case 0xfd:
		return uint64(p[1]) | uint64(p[2])<<8 | uint64(p[3])<<16, p[4:], true
	case 0xfe:
		return binary.LittleEndian.Uint64(p[1:]), p[9:], true
	}
	return uint64(p[0]), p[1:], true
}

// Text reads a length-encoded text; null is true for NULL.
func Text(p []byte) (text []byte, null bool, rest []byte, ok bool) {
	if len(p) > 0 && p[0] == 0xfb {
		return nil, true, p[1:], true
	}
	n, rest, ok := Lenenc(p)
	if !ok || n > uint64(len(rest)) {
		return nil, false, p, false
	}
	return rest[:n], false, rest[n:], true
}
