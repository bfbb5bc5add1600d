package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// prepared is a statement that the server has prepared for the client.
type prepared struct {
	text    string
	what    statement.Statement
	dialect statement.Dialect
	told    bool // by a program, in utf8mb4

	database   string // that was the default one when a CALL was prepared, in utf8mb4
	parameters int
	types      []byte // of the parameters, as told last
	long       bool   // the server has been sent a value by a command of its own
}

func (s *session) newPrepared(text string) *prepared {
	p := &prepared{what: statement.Classify(text, s.dialect), dialect: s.dialect}
	p.text = atOnce(text, &p.what)
	return p
}

// errUnpreparable is the server's. Some clients say a statement as a text where they meet it.
var errUnpreparable = &wire.Error{Code: 1295, State: "HY000", Message: "This command is not supported in the prepared statement protocol yet"}

// refusal is why a statement cannot be prepared, or nil.
func (s *session) refusal(p *prepared) *wire.Error {
	switch p.what.Kind {
	case statement.Prepare, statement.Execute, statement.Deallocate:
		return errUnpreparable
	}
	if e := s.refuses(&p.what); e != nil {
		return e
	}
	return s.writesSystem(&p.what) // also by another default database than that of now, when it is executed
}

// prepare answers COM_STMT_PREPARE.
func (s *session) prepare(payload []byte) error {
	p := s.newPrepared(string(payload[1:]))
	if e := s.refusal(p); e != nil {
		return s.failRefused(p.text, e)
	}
	if len(p.text) != len(payload)-1 {
		payload = append([]byte{wire.ComStmtPrepare}, p.text...)
	}
	if p.what.Verb == "CALL" {
		database, err := s.currentDatabase()
		if err != nil {
			return s.failWith(err)
		}
		p.database = database
	}
	refused, err := s.tryPrepare(payload, p, p.what.Kind != statement.Read && p.what.Kind != statement.Set)
	if refused {
		_, err = s.tryPrepare(payload, p, true) // a read that may write, through a function
	}
	return err
}

// tryPrepare prepares p. refused says that the server wants the session to be opened, and that nothing was answered yet.
func (s *session) tryPrepare(payload []byte, p *prepared, open bool) (refused bool, err error) {
	closed, err := s.sendPrepare(payload, open)
	if err != nil {
		return false, s.lost(err)
	}
	first, err := s.backend.ReadPacket()
	if err != nil {
		return false, s.lost(err)
	}
	if !open && s.tx == nil && len(first) > 0 && first[0] == wire.HeaderError && wire.ParseError(first).Code == codeReadOnly {
		return true, nil
	}
	if err := s.relayPrepared(first, p); err != nil {
		return false, err
	}
	return false, closed()
}

// sendPrepare sends a command that prepares a statement. The server refuses to prepare what writes in a READ ONLY session,
// though nothing is executed, so it can be opened for that long; closed reads the answer to its being closed again.
func (s *session) sendPrepare(payload []byte, open bool) (closed func() error, err error) {
	if s.tx != nil || !open {
		return func() error { return nil }, s.send(payload)
	}
	if err := s.ask("SET SESSION TRANSACTION READ WRITE"); err != nil {
		return nil, err
	}
	if err := s.backend.Command(payload); err != nil {
		return nil, err
	}
	if err := s.backend.Query(closeSession); err != nil {
		return nil, err
	}
	return func() error {
		if err := s.answer(); err != nil {
			return s.lost(err)
		}
		return nil
	}, s.backend.Flush()
}

// relayPrepared passes on the response to COM_STMT_PREPARE.
func (s *session) relayPrepared(first []byte, p *prepared) error {
	if len(first) < 9 || first[0] != wire.HeaderOK {
		return s.client.WritePacket(first)
	}
	s.statements[binary.LittleEndian.Uint32(first[1:])] = p
	columns, parameters := binary.LittleEndian.Uint16(first[5:]), binary.LittleEndian.Uint16(first[7:])
	p.parameters = int(parameters)
	if err := s.client.WritePacket(first); err != nil {
		return err
	}
	for _, n := range []uint16{parameters, columns} {
		for range s.definitions(n) {
			if err := s.relayPacket(); err != nil {
				return s.lost(err)
			}
		}
	}
	return nil
}

// unknownPrepared is the server's word for a statement that was not prepared, and that somebody wants something of.
func unknownPrepared(name, wants string) *wire.Error {
	return &wire.Error{Code: 1243, State: "HY000", Message: fmt.Sprintf("Unknown prepared statement handler (%s) given to %s", name, wants)}
}

// execute answers COM_STMT_EXECUTE.
func (s *session) execute(payload []byte) error {
	if len(payload) < 10 {
		return errors.New("COM_STMT_EXECUTE ends early")
	}
	id := binary.LittleEndian.Uint32(payload[1:])
	if id == 0xffffffff {
		// MariaDB's word for the statement that was prepared last, which is not known here.
		s.fail(refused("COM_STMT_EXECUTE of the last statement is refused: name it by its id"))
		return nil
	}
	p := s.statements[id]
	if p == nil {
		s.fail(unknownPrepared(fmt.Sprint(id), "mysqld_stmt_execute"))
		return nil
	}
	_, err := s.timedAs(p.what, len(payload), func() (bool, error) { return s.dispatchPrepared(p, call{payload: payload}) })
	return err
}

// dispatchPrepared executes what p is, by the command in c.
func (s *session) dispatchPrepared(p *prepared, c call) (bool, error) {
	if e := s.refusal(p); e != nil {
		return true, s.failRefused(p.text, e)
	}
	if (p.what.Kind == statement.DDL || p.what.Kind == statement.CreateSelect) && p.dialect != s.dialect { // its text is read anew
		s.fail(refused("%s is refused: it was prepared with another sql_mode, which its text would be read otherwise with; prepare it again", p.what.Verb))
		return true, nil
	}
	settings := c.what.Settings
	c = call{payload: c.payload, text: p.text, what: p.what, more: c.more, earlier: p.dialect != s.dialect, using: c.what.Using}
	if c.payload[0] == wire.ComStmtExecute && (p.what.Verb == "CALL" || p.what.Kind == statement.DDL || p.what.Kind == statement.CreateSelect) {
		p.bind(c.payload)
		c.payload, c.prepared = p.typed(c.payload), p
	}
	if p.what.Verb == "CALL" && c.payload[0] == wire.ComQuery && !c.earlier {
		text, e := p.said(c.using)
		if e != nil {
			s.fail(e)
			return true, nil
		}
		if settings != "" {
			text = "SET STATEMENT " + settings + " FOR " + text
		}
		return s.dispatch(s.textCall(text, c.more))
	}
	if c.payload[0] == wire.ComStmtExecute && c.payload[5] == 0 {
		if text := s.informedPrepared(p); text != p.text {
			return s.executeInformed(c, text)
		}
	}
	return s.dispatch(c)
}

// said is the CALL that EXECUTE is of this one, as a text: with what stands behind USING in the place of the parameters, and in the database of the time when it was prepared.
func (p *prepared) said(using string) (text string, e *wire.Error) {
	if statement.MentionsWord(using, p.dialect, "SELECT") {
		return "", &wire.Error{Code: codeNoSubquery, State: "42000", Message: "EXECUTE..USING does not support subqueries or stored functions"}
	}
	text, ok := statement.CallUsing(p.text, using, p.dialect)
	if !ok {
		return "", &wire.Error{Code: 1210, State: "HY000", Message: "Incorrect arguments to EXECUTE"}
	}
	if said, ok := statement.ReadCall(text, p.dialect); ok && said.Database == "" && p.database != "" && isASCII(p.database) {
		text = said.Renamed(text, quoteName(p.database)+"."+quoteName(said.Name))
	}
	return text, nil
}

// executeHead is the length of COM_STMT_EXECUTE before its parameters.
const executeHead = 10

// bind keeps the types that COM_STMT_EXECUTE tells of its parameters. Clients tell them once.
func (p *prepared) bind(payload []byte) {
	if at := executeHead + (p.parameters+7)/8; p.parameters > 0 && len(payload) >= at+1+2*p.parameters && payload[at] == 1 {
		p.types = append(p.types[:0], payload[at+1:at+1+2*p.parameters]...)
	}
}

// typed is COM_STMT_EXECUTE with the types of the parameters, if they were told earlier: another statement may have been executed with those.
func (p *prepared) typed(payload []byte) []byte {
	at := executeHead + (p.parameters+7)/8
	if p.parameters == 0 || len(p.types) != 2*p.parameters || len(payload) < at+1 || payload[at] != 0 {
		return payload
	}
	return slices.Concat(payload[:at], []byte{1}, p.types, payload[at+1:])
}

// asOther is COM_STMT_EXECUTE, with the types, of another statement with the same parameters. ok is false where these are not all in it.
func (p *prepared) asOther(payload, id []byte) (other []byte, ok bool) {
	at := executeHead + (p.parameters+7)/8
	told := p.parameters == 0 || len(payload) > at+2*p.parameters && payload[at] == 1
	if p.long || !told {
		return nil, false
	}
	return slices.Concat([]byte{wire.ComStmtExecute}, id, payload[5:]), true
}

// sendLongData is COM_STMT_SEND_LONG_DATA, to which there is no response.
func (s *session) sendLongData(payload []byte) error {
	p := s.statement(payload)
	if p == nil {
		return nil
	}
	p.long = true
	return s.send(payload)
}

// statement is the one that a command names, or nil: the server has others of this connection, which are the node's.
func (s *session) statement(payload []byte) *prepared {
	if len(payload) < 5 {
		return nil
	}
	return s.statements[binary.LittleEndian.Uint32(payload[1:])]
}

// passTo passes a command to a statement on, and what the server answers.
func (s *session) passTo(payload []byte, command string, relay func() error) error {
	if len(payload) < 5 {
		return fmt.Errorf("%s ends early", command)
	}
	if s.statement(payload) == nil {
		s.fail(unknownPrepared(fmt.Sprint(binary.LittleEndian.Uint32(payload[1:])), command))
		return nil
	}
	return s.pass(payload, relay)
}

// informedPrepared is the text of a statement, which has no parameters then, with the facts in the place of what asks for them.
func (s *session) informedPrepared(p *prepared) string {
	if text := s.informedText(&p.what, p.text); !strings.Contains(p.text, "?") {
		return text
	}
	return p.text
}

// executeInformed executes, in the place of a statement without parameters and cursor that asks for what its server does not know,
// one that is told. It is prepared for this once.
func (s *session) executeInformed(c call, text string) (failed bool, err error) {
	id, err := s.prepareOnce(text)
	var refused *wire.Error
	if errors.As(err, &refused) {
		return s.dispatch(c)
	}
	if err != nil {
		return true, s.lost(err)
	}
	c.payload, c.told = append(append([]byte{wire.ComStmtExecute}, id...), c.payload[5:]...), true
	if failed, err = s.dispatch(c); err != nil {
		return failed, err
	}
	if err := s.send(append([]byte{wire.ComStmtClose}, id...)); err != nil { // there is no response
		return failed, s.lost(err)
	}
	return failed, nil
}

// prepareOnce lets the server prepare text, and returns the id that it gives to that.
func (s *session) prepareOnce(text string) (id []byte, err error) {
	if err := s.send(append([]byte{wire.ComStmtPrepare}, text...)); err != nil {
		return nil, err
	}
	return s.preparedID()
}

// preparedID reads the response to COM_STMT_PREPARE.
func (s *session) preparedID() (id []byte, err error) {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) > 0 && p[0] == wire.HeaderError {
		return nil, wire.ParseError(p)
	}
	if len(p) < 9 || p[0] != wire.HeaderOK {
		return nil, errors.New("the server does not answer to COM_STMT_PREPARE")
	}
	id = append([]byte(nil), p[1:5]...)
	columns, parameters := binary.LittleEndian.Uint16(p[5:]), binary.LittleEndian.Uint16(p[7:])
	for _, n := range []uint16{parameters, columns} {
		for range s.definitions(n) {
			if _, err := s.backend.ReadPacket(); err != nil {
				return nil, err
			}
		}
	}
	return id, nil
}

// closeStatement is COM_STMT_CLOSE, to which there is no response.
func (s *session) closeStatement(payload []byte) error {
	if s.statement(payload) == nil {
		return nil
	}
	delete(s.statements, binary.LittleEndian.Uint32(payload[1:]))
	return s.send(payload)
}
