package mysql

import (
	"encoding/binary"
	"errors"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// result is what a response told about the statement.
type result struct {
	err  *wire.Error // nil if it succeeded
	rows bool        // rows were passed on
	// affected is how many rows the last statement changed.
	affected uint64
}

// insideXA says in other words what the server says of a statement that cannot be executed inside of XA.
var insideXA = &wire.Error{Code: codeInsideXA, State: "XAE07", Message: "Nexus: the statement was not executed: a procedure, function or block is one transaction here, " +
	"so it cannot end one, nor change the schema or accounts. A block may that is sent as a text, and a procedure, if the client calls it by CALL, or if one calls it so that the client calls; else let the client do that"}

// shape says what is changed about a response on its way.
type shape struct {
	// more: another statement's response follows in the same one.
	more bool
	// outside: the client is in no transaction, though the statement was executed in one.
	outside bool
	// mixed: statements of the node's own stand among those that were executed, and what is said of indexes may be of these.
	mixed bool
	// dialect is that of the client, where the statements were executed in another one. What clients escape depends on what they are told.
	dialect *statement.Dialect
	// cursor: the client has asked for one. A procedure that has one open says so too.
	cursor bool
	// edit changes a row of SHOW before it is passed on, and returns nil for one that is not; nil where all are passed on as they are.
	edit func(row []byte) []byte
	// rows of the node's own stand behind those of the server.
	rows [][]byte
	// column changes the definition of a column; nil where they are passed on as they are.
	column func(definition []byte) []byte
}

// wantsCursor reports whether a command is COM_STMT_EXECUTE with a cursor.
func wantsCursor(payload []byte) bool {
	return len(payload) > 5 && payload[0] == wire.ComStmtExecute && payload[5] != 0
}

// relayResults passes on the response to COM_QUERY or COM_STMT_EXECUTE, which may be several results.
func (s *session) relayResults(f shape) (result, error) {
	s.executing.Store(true)
	defer s.executing.Store(false)
	for {
		r, status, err := s.relayResult(f)
		if err != nil || r.err != nil || status&wire.StatusMoreResults == 0 {
			return r, err
		}
	}
}

func (s *session) relayResult(f shape) (r result, status uint16, err error) {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return r, 0, err
	}
	if len(p) == 0 {
		return r, 0, errors.New("an empty packet of the server")
	}
	switch p[0] {
	case wire.HeaderOK:
		r.affected, _, _ = wire.Lenenc(p[1:])
		status, err = s.relayEnd(p, f)
		return r, status, err
	case wire.HeaderError:
		r.err = wire.ParseError(p)
		if r.err.Code == codeInsideXA {
			p = insideXA.Packet()
		}
		return r, 0, s.client.WritePacket(p)
	case wire.HeaderLocalFile:
		if err := s.relayFile(p); err != nil {
			return r, 0, err
		}
		return s.relayResult(f)
	}
	columns, _, ok := wire.Lenenc(p)
	if !ok {
		return r, 0, errors.New("a packet of the server that begins no result")
	}
	if err := s.client.WritePacket(p); err != nil {
		return r, 0, err
	}
	return s.relayRowsOf(columns, f)
}

// relayRowsOf passes on what follows the number of columns, of which so many are still to be defined.
func (s *session) relayRowsOf(columns uint64, f shape) (r result, status uint16, err error) {
	r.rows = true
	for range columns {
		p, err := s.backend.ReadPacket()
		if err != nil {
			return r, 0, err
		}
		if f.column != nil {
			p = f.column(p)
		}
		if err := s.client.WritePacket(p); err != nil {
			return r, 0, err
		}
	}
	if !s.deprecateEOF {
		p, err := s.backend.ReadPacket()
		if err != nil {
			return r, 0, err
		}
		s.note(p)
		if f.cursor && s.status&wire.StatusCursor != 0 { // rows come when they are fetched
			status, err = s.relayEnd(p, f)
			return r, status, err
		}
		if err := s.client.WritePacket(f.seen(p, s.deprecateEOF)); err != nil {
			return r, 0, err
		}
	}
	for {
		if f.edit == nil {
			if err := s.backend.PassRows(s.client, s.deprecateEOF); err != nil {
				return r, 0, err
			}
		}
		p, err := s.backend.ReadPacket()
		if err != nil {
			return r, 0, err
		}
		if len(p) > 0 && p[0] == wire.HeaderError {
			r.err = wire.ParseError(p)
			return r, 0, s.client.WritePacket(p)
		}
		if wire.IsEnd(p, s.deprecateEOF) {
			for _, row := range f.rows {
				if err := s.client.WritePacket(row); err != nil {
					return r, 0, err
				}
			}
			status, err = s.relayEnd(p, f)
			return r, status, err
		}
		if f.edit != nil {
			if p = f.edit(p); p == nil {
				continue
			}
		}
		if err := s.client.WritePacket(p); err != nil {
			return r, 0, err
		}
	}
}

// relayEnd passes on the packet that ends a result, and returns the status that the server put into it.
func (s *session) relayEnd(p []byte, f shape) (uint16, error) {
	s.note(p)
	status := s.status
	p = f.seen(p, s.deprecateEOF)
	if at := wire.StatusAt(p, s.deprecateEOF); f.more && at >= 0 {
		p[at] |= wire.StatusMoreResults
	}
	return status, s.client.WritePacket(p)
}

// seen is an OK or EOF packet with the status that the client is to see.
func (f *shape) seen(p []byte, deprecateEOF bool) []byte {
	at := wire.StatusAt(p, deprecateEOF)
	if at < 0 {
		return p
	}
	if f.outside {
		p[at] &^= wire.StatusInTransaction
	}
	if f.mixed {
		p[at] &^= wire.StatusIndexes
	}
	if f.dialect != nil {
		flags := binary.LittleEndian.Uint16(p[at:]) &^ (wire.StatusNoBackslashEscapes | wire.StatusAnsiQuotes)
		if f.dialect.NoBackslashEscapes {
			flags |= wire.StatusNoBackslashEscapes
		}
		if f.dialect.AnsiQuotes {
			flags |= wire.StatusAnsiQuotes
		}
		binary.LittleEndian.PutUint16(p[at:], flags)
	}
	return p
}

// relayFile passes the file on that LOAD DATA LOCAL asks the client for, up to its empty packet.
func (s *session) relayFile(request []byte) error {
	seq := s.backend.Seq
	if err := s.client.WritePacket(request); err != nil {
		return err
	}
	if err := s.client.Flush(); err != nil {
		return err
	}
	s.backend.Seq = seq
	for {
		p, err := s.client.ReadPacket()
		if err != nil {
			return err
		}
		if err := s.backend.WritePacket(p); err != nil {
			return err
		}
		if len(p) == 0 {
			return s.backend.Flush()
		}
	}
}

func (s *session) relayPacket() error {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return err
	}
	return s.client.WritePacket(p)
}

// relayOne passes on a response of one packet.
func (s *session) relayOne() error {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return s.lost(err)
	}
	return s.client.WritePacket(p)
}

// relayRows passes on the rows that COM_STMT_FETCH asked for.
func (s *session) relayRows() error {
	for {
		if err := s.backend.PassRows(s.client, s.deprecateEOF); err != nil {
			return err
		}
		p, err := s.backend.ReadPacket()
		if err != nil {
			return s.lost(err)
		}
		if err := s.client.WritePacket(p); err != nil {
			return err
		}
		if wire.IsEnd(p, s.deprecateEOF) || (len(p) > 0 && p[0] == wire.HeaderError) {
			return nil
		}
	}
}

// relayFields passes on the response to COM_FIELD_LIST, which ends as rows do.
func (s *session) relayFields() error { return s.relayRows() }
