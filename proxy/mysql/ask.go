package mysql

import (
	"errors"
	"strconv"
	"strings"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// ask executes statements of this node's own, sent together, and returns the first error that the server answered. The
// error is a *wire.Error, or one of the connection.
func (s *session) ask(texts ...string) error {
	commands := make([][]byte, len(texts))
	for i, text := range texts {
		commands[i] = wire.Query(text)
	}
	return s.askCommands(commands)
}

// askCommands is ask for commands.
func (s *session) askCommands(commands [][]byte) error {
	if err := s.sendAll(commands); err != nil {
		return err
	}
	return s.answers(len(commands))
}

// sendAll sends commands together.
func (s *session) sendAll(commands [][]byte) error {
	for _, c := range commands {
		if err := s.backend.Command(c); err != nil {
			return err
		}
	}
	return s.backend.Flush()
}

// answers reads the responses to n statements that yield no rows, and returns the first error that the server answered.
func (s *session) answers(n int) error {
	var first error
	for range n {
		if err := s.answer(); err != nil {
			var server *wire.Error
			if !errors.As(err, &server) {
				return err
			}
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// answer reads the response to a statement that yields no rows.
func (s *session) answer() error {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return err
	}
	return s.answerIn(p)
}

// answerIn is answer in the packet p.
func (s *session) answerIn(p []byte) error {
	if len(p) == 0 {
		return errors.New("an empty packet of the server")
	}
	switch p[0] {
	case wire.HeaderOK:
		s.note(p)
		return nil
	case wire.HeaderError:
		return wire.ParseError(p)
	}
	return errors.New("rows where none were asked for")
}

// What stands before questions of this node's own. Their answers are legible in the character set that texts are sent in: that of the client's
// results may be one in which not even digits are as here, and its session, or a procedure, may choose that at any time. Those that are unbounded are
// not bounded either by what the client has bounded its own statements to.
const (
	inTextCharset = "SET STATEMENT character_set_results=@@character_set_client"
	legible       = inTextCharset + " FOR "
	unlimited     = ", sql_select_limit=18446744073709551615, sql_big_selects=1, max_statement_time=0, group_concat_max_len=1048576 FOR "
	unbounded     = inTextCharset + unlimited
)

// row executes a statement that yields one row, whatever the client has bounded its own queries to, and returns its values.
// NULL is the empty text.
func (s *session) row(text string) ([]string, error) {
	bounded := !strings.Contains(text, "information_schema")
	question := legible + text
	if !bounded {
		question = unbounded + text
	}
	values, err := s.tryRow(question)
	if err == nil && len(values) == 0 && bounded {
		values, err = s.tryRow(unbounded + text)
	}
	if err == nil && len(values) == 0 {
		return nil, unavailable(errors.New("the server behind this node leaves a question of the node's own unanswered"))
	}
	return values, err
}

// tryRow is row, without values where there is no row.
func (s *session) tryRow(text string) ([]string, error) {
	if err := s.backend.Query(text); err != nil {
		return nil, err
	}
	if err := s.backend.Flush(); err != nil {
		return nil, err
	}
	return s.readRow()
}

func (s *session) readRow() ([]string, error) {
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	return s.readRowBehind(p)
}

// readRowBehind reads the rest of a result that begins with the packet p, and returns the values of the last row.
func (s *session) readRowBehind(p []byte) ([]string, error) {
	if len(p) > 0 && p[0] == wire.HeaderError {
		return nil, wire.ParseError(p)
	}
	columns, _, ok := wire.Lenenc(p)
	if !ok || columns == 0 {
		return nil, errors.New("no rows where one was asked for")
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	s.rowNumber = wire.IsNumber(p)
	return s.readRowOf(columns)
}

// readRowOf reads what follows the definition of the first of so many columns, and returns the values of the last row.
func (s *session) readRowOf(columns uint64) (values []string, err error) {
	err = s.readRowsOf(columns, func(row []string) { values = append(values[:0], row...) })
	if err != nil {
		return nil, err
	}
	return values, nil
}

// readRowsOf is readRowOf for all rows. What each is called with is its own for that long.
func (s *session) readRowsOf(columns uint64, each func([]string)) error {
	skip := columns - 1
	if !s.deprecateEOF {
		skip++
	}
	for range skip {
		if _, err := s.backend.ReadPacket(); err != nil {
			return err
		}
	}
	var values []string
	for {
		p, err := s.backend.ReadPacket()
		if err != nil {
			return err
		}
		if len(p) > 0 && p[0] == wire.HeaderError {
			return wire.ParseError(p)
		}
		if wire.IsEnd(p, s.deprecateEOF) {
			s.note(p)
			return nil
		}
		values = values[:0]
		for i := range columns {
			text, null, rest, ok := wire.Text(p)
			if !ok {
				return errors.New("a row of the server ends early")
			}
			if i == 0 {
				s.rowNull = null
			}
			values, p = append(values, string(text)), rest
		}
		each(values)
	}
}

// noted returns what the server has noted about the statement before.
func (s *session) noted() ([]appliers.Warning, error) {
	if err := s.send(append([]byte{wire.ComQuery}, legible+"SHOW WARNINGS"...)); err != nil {
		return nil, err
	}
	p, err := s.backend.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) > 0 && p[0] == wire.HeaderError {
		return nil, wire.ParseError(p)
	}
	if _, err = s.backend.ReadPacket(); err != nil { // of the first column
		return nil, err
	}
	var list []appliers.Warning
	var illegible error
	err = s.readRowsOf(3, func(row []string) {
		code, err := strconv.ParseUint(row[1], 10, 16)
		illegible = errors.Join(illegible, err)
		list = append(list, appliers.Warning{Level: row[0], Code: uint16(code), Message: row[2]})
	})
	return list, errors.Join(err, illegible)
}

// note keeps the status that the server tells at the end of a result.
func (s *session) note(p []byte) {
	if at := wire.StatusAt(p, s.deprecateEOF); at >= 0 {
		s.status = uint16(p[at]) | uint16(p[at+1])<<8
	}
}
