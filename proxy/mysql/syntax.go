package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// Of what is no SQL to the server though it can be parsed.
const (
	codeNoCharset   = 1115 // it does not know the character set
	codeShadowed    = 1453 // a variable has the name of a word
	codeNoVariable  = 1193 // it does not know the variable
	codeNoGenerated = 1901 // a function must not stand in a generated column, a default or a check
	codeNoSubquery  = 1970 // a subquery must not stand there
)

// inServersWords returns the error of syntax that the server finds in a text which this node refuses with e, if it finds one:
// clients know that better, and its place is right. The server is let prepare the text, which executes nothing.
func (s *session) inServersWords(text string, e *wire.Error) (*wire.Error, error) {
	err := s.parse(append([]byte{wire.ComStmtPrepare}, text...), false)
	var server *wire.Error
	switch {
	case err == nil:
		return e, nil
	case !errors.As(err, &server):
		return nil, err
	case server.Code == codeSyntax, server.Code == codeNoCharacter, server.Code == codeParameterCount,
		server.Code == codeNoCharset, server.Code == codeShadowed, server.Code == codeNoVariable, server.Code == codeNoGenerated, server.Code == codeNoSubquery:
		return server, nil
	}
	return e, nil
}

// parse lets the server prepare a statement and forget it again, and returns the error that it answers. open is that of
// sendPrepare.
func (s *session) parse(command []byte, open bool) error {
	closed, err := s.sendPrepare(command, open)
	if err != nil {
		return err
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return err
	}
	first := append([]byte(nil), p...)
	if len(first) > 0 && first[0] == wire.HeaderError {
		return errors.Join(closed(), wire.ParseError(first))
	}
	if len(first) < 9 || first[0] != wire.HeaderOK {
		return fmt.Errorf("the server answers the preparation of a statement with %d bytes", len(first))
	}
	columns, parameters := binary.LittleEndian.Uint16(first[5:]), binary.LittleEndian.Uint16(first[7:])
	for _, n := range []uint16{parameters, columns} {
		for range s.definitions(n) {
			if _, err := s.backend.ReadPacket(); err != nil {
				return err
			}
		}
	}
	if err := closed(); err != nil {
		return err
	}
	if err := s.backend.Command(append([]byte{wire.ComStmtClose}, first[1:5]...)); err != nil {
		return err
	}
	return s.backend.Flush()
}

// definitions is how many packets define so many columns.
func (s *session) definitions(n uint16) int {
	if n > 0 && !s.deprecateEOF {
		return int(n) + 1
	}
	return int(n)
}

// failRefused answers what this node refuses with e.
func (s *session) failRefused(text string, e *wire.Error) error {
	s.server.stats.refused.Add(1)
	e, err := s.inServersWords(text, e)
	if err != nil {
		return s.lost(err)
	}
	s.facts.warnings = nil
	s.noteError(e)
	s.fail(e)
	return nil
}
