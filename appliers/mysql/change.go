package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// changed is what the server has said about a schema change that it executed.
type changed struct {
	affected uint64
	warnings int
	info     string
	rows     [][4]string // of the maintenance of tables
}

// change executes a statement as exec does, and keeps what the server says in words, which the library throws away. Errors call
// the statement by a name.
func (k *conn) change(ctx context.Context, text, name string) (*changed, error) {
	defer k.until(ctx)()
	done, err := k.tryChange(text)
	if err == nil {
		return done, nil
	}
	if serverCode(err) == 0 && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

func (k *conn) tryChange(text string) (*changed, error) {
	k.c.ResetSequence()
	if err := k.c.WritePacket(append([]byte{0, 0, 0, 0, gomysql.COM_QUERY}, text...)); err != nil {
		return nil, err
	}
	p, err := k.c.ReadPacket()
	if err != nil {
		return nil, err
	}
	switch {
	case len(p) > 0 && p[0] == gomysql.ERR_HEADER:
		return nil, parseError(p)
	case len(p) > 0 && p[0] == gomysql.OK_HEADER:
		return parseOK(p)
	}
	return k.readChecks(p)
}

var errAnswerShort = errors.New("an answer of the server ends early")

// parseError returns the error that a packet carries.
func parseError(p []byte) error {
	if len(p) < 9 {
		return errAnswerShort
	}
	return &ServerError{Code: binary.LittleEndian.Uint16(p[1:]), State: string(p[4:9]), Message: string(p[9:])}
}

// parseOK takes a packet OK apart. The words at its end have no length before them where the client does not track the session.
func parseOK(p []byte) (*changed, error) {
	affected, rest, ok := lengthEncoded(p[1:])
	if ok {
		_, rest, ok = lengthEncoded(rest) // the id
	}
	if !ok || len(rest) < 4 {
		return nil, errAnswerShort
	}
	info := rest[4:]
	if n, text, ok := lengthEncoded(info); ok && n == uint64(len(text)) {
		info = text
	}
	return &changed{affected: affected, warnings: int(binary.LittleEndian.Uint16(rest[2:])), info: string(info)}, nil
}

// lengthEncoded takes a number of the protocol off the front.
func lengthEncoded(p []byte) (n uint64, rest []byte, ok bool) {
	size := 1
	if len(p) > 0 {
		size = map[byte]int{0xfc: 3, 0xfd: 4, 0xfe: 9}[p[0]]
		size = max(size, 1)
	}
	if len(p) < size || p[0] == 0xff {
		return 0, nil, false
	}
	n, _, _ = gomysql.LengthEncodedInt(p)
	return n, p[size:], true
}

// readChecks reads the rows behind the packet that says how many columns they have.
func (k *conn) readChecks(first []byte) (*changed, error) {
	columns, _, ok := lengthEncoded(first)
	if !ok {
		return nil, errAnswerShort
	}
	for range columns + 1 { // and their end
		if _, err := k.c.ReadPacket(); err != nil {
			return nil, err
		}
	}
	done := &changed{}
	for {
		p, err := k.c.ReadPacket()
		switch {
		case err != nil:
			return nil, err
		case len(p) > 0 && p[0] == gomysql.ERR_HEADER:
			return nil, parseError(p)
		case len(p) > 0 && len(p) < 9 && p[0] == gomysql.EOF_HEADER:
			if len(p) >= 3 {
				done.warnings = int(binary.LittleEndian.Uint16(p[1:]))
			}
			return done, nil
		case columns != 4:
			continue
		}
		var row [4]string
		for i, rest := 0, p; i < len(row); i++ {
			n, text, ok := lengthEncoded(rest)
			if !ok || n > uint64(len(text)) {
				return nil, errAnswerShort
			}
			row[i], rest = string(text[:n]), text[n:]
		}
		done.rows = append(done.rows, row)
	}
}
