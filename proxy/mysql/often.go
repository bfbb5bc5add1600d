package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// often is what begins and ends the transactions of a session that has many: statements that the server has prepared, since to read them as texts costs it a
// sixth of what a transaction does. XA takes no parameters, so all of these transactions have one name. See docs/design/0031-prepared-xa.md.
type often struct {
	of *appliers.Transaction // one that had the name

	// Each is COM_STMT_EXECUTE, and mark lacks its parameters.
	start, mark, end, prepare, closing, commit []byte
}

// oftenEnough is how many transactions a session has had when it is likely to have more.
const oftenEnough = 8

// register registers a transaction.
func (s *session) register() (*appliers.Transaction, error) {
	if s.often != nil {
		return s.often.of.Again()
	}
	return s.server.backend.Begin(s.epoch, s)
}

// has reports whether xid is the name that the statements are for.
func (o *often) has(xid string) bool { return o != nil && o.of.XID() == xid }

// nameOften has the server prepare what the next transactions begin and end with, under the name of xa, if it is time for that. The server must know no
// transaction of that name, and nobody may ask any more for what it has warned of.
func (s *session) nameOften(xa *appliers.Transaction) error {
	if s.begun++; s.begun != oftenEnough || s.locked != noLock || s.steered.Load() != nil {
		return nil
	}
	texts := []string{
		openFor + "XA START " + xa.XID(), "INSERT INTO nexus.applied VALUES (?,?)", "XA END " + xa.XID(), "XA PREPARE " + xa.XID(), closeSession, "XA COMMIT " + xa.XID(),
	}
	commands := [][]byte{wire.Query(openSession)} // see sendPrepare
	for _, text := range texts {
		commands = append(commands, append([]byte{wire.ComStmtPrepare}, text...))
	}
	if err := s.sendAll(append(commands, wire.Query(closeSession))); err != nil {
		return s.lost(err)
	}
	return s.takeOften(xa, len(texts))
}

// takeOften reads the responses to what nameOften has sent. A server that does not prepare all of it, because it has prepared too much for others, gets texts as before.
func (s *session) takeOften(xa *appliers.Transaction, n int) error {
	if err := s.answer(); err != nil {
		return s.lost(err)
	}
	var ids [][]byte
	for range n {
		id, err := s.preparedID()
		var refused *wire.Error
		switch {
		case err == nil:
			ids = append(ids, id)
		case !errors.As(err, &refused):
			return s.lost(err)
		}
	}
	if err := s.answer(); err != nil {
		return s.lost(err)
	}
	if len(ids) < n {
		for _, id := range ids {
			if err := s.send(append([]byte{wire.ComStmtClose}, id...)); err != nil { // there is no response
				return s.lost(err)
			}
		}
		return nil
	}
	var executes [][]byte
	for _, id := range ids {
		executes = append(executes, slices.Concat([]byte{wire.ComStmtExecute}, id, []byte{0, 1, 0, 0, 0})) // no cursor, once
	}
	s.often = &often{xa, executes[0], executes[1], executes[2], executes[3], executes[4], executes[5]}
	return nil
}

// markOf inserts the marker of xa. MySQL protocol, COM_STMT_EXECUTE: a bitmap of NULLs, whether types follow, types (8: BIGINT, unsigned), values.
func (o *often) markOf(xa *appliers.Transaction) []byte {
	p := append(bytes.Clone(o.mark), 0, 1, 8, 0x80, 8, 0x80)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(p, xa.Epoch()), xa.Sequence())
}

// startOf is the command that starts xa.
func (s *session) startOf(xa *appliers.Transaction) []byte {
	if s.often.has(xa.XID()) {
		return s.often.start
	}
	return wire.Query(openFor + "XA START " + xa.XID())
}

// markedStartOf are the commands that start xa and insert its marker.
func (s *session) markedStartOf(xa *appliers.Transaction) [][]byte {
	if o := s.often; o.has(xa.XID()) {
		return [][]byte{o.start, o.markOf(xa)}
	}
	return [][]byte{wire.Query(block(openFor+"XA START "+xa.XID(), xa.Mark()))}
}

// endOf are the commands that prepare xa, and close the session, which a procedure that was called may have opened.
func (s *session) endOf(xa *appliers.Transaction) [][]byte {
	if o := s.often; o.has(xa.XID()) {
		return [][]byte{o.end, o.prepare, o.closing}
	}
	return [][]byte{wire.Query(block(endXA(xa)...))}
}

// markedEndOf is endOf behind the marker, as far as it is not there.
func (s *session) markedEndOf(xa *appliers.Transaction, tx *transaction) [][]byte {
	if o := s.often; tx.marking == notMarked && o.has(xa.XID()) {
		return [][]byte{o.markOf(xa), o.end, o.prepare, o.closing}
	}
	return [][]byte{wire.Query(block(append([]string{tx.lastMark()}, endXA(xa)...)...))}
}

func endXA(xa *appliers.Transaction) []string {
	return []string{"XA END " + xa.XID(), "XA PREPARE " + xa.XID(), closeSession}
}

// commitOf is the command that commits the prepared transaction xid.
func (s *session) commitOf(xid string) []byte {
	if s.often.has(xid) {
		return s.often.commit
	}
	return wire.Query("XA COMMIT " + xid)
}
