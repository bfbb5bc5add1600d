package mysql

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// What a client gets for each statement of the scripts in testdata/alike is, packet by packet, what one server alone answers: rows and their types, the numbers of
// rows and of warnings, ids, flags, and errors. Behind each script the servers hold the same.
//
// A line of a script is a statement, to be sent as a text. Before it may stand how else it is said:
//
//	?     SELECT ? <- 1, x    it is prepared, and executed with these parameters, all of them texts
//	2>    SELECT 1            another connection says it
//	2&    SELECT 1            the same, and its answer is not waited for
//	2=                        this waits for it
func TestAlike(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/alike/*.sql")
	check(t, err)
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	c, leader := startCluster(t)
	alone := startServerAlone(t)
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".sql"), func(t *testing.T) {
			lines, err := os.ReadFile(script)
			check(t, err)
			got, want := newSpeaker(t, leader.Addr()), newSpeaker(t, alone.Addr())
			for _, text := range []string{"DROP DATABASE IF EXISTS app", "CREATE DATABASE app", "USE app"} {
				got.say(text)
				want.say(text)
			}
			for _, line := range strings.Split(string(lines), "\n") {
				if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "--") {
					continue
				}
				if wanted, is := want.say(line), got.say(line); wanted != is {
					t.Errorf("%s%s%s", line, linesOf(wanted, is, "\nwant "), linesOf(is, wanted, "\n got "))
				}
			}
			awaitEqual(t, c)
		})
	}
}

// linesOf is an answer without the lines that another one has.
func linesOf(answer, other, before string) (shown string) {
	for _, line := range strings.Split(answer, "\n") {
		if !strings.Contains("\n"+other+"\n", "\n"+line+"\n") {
			shown += before + line
		}
	}
	return shown
}

// speaker is a client with several connections to the same place.
type speaker struct {
	t     *testing.T
	addr  string
	conns map[byte]*raw
}

func newSpeaker(t *testing.T, addr string) *speaker {
	return &speaker{t, addr, make(map[byte]*raw)}
}

func (s *speaker) conn(name byte) *raw {
	if s.conns[name] == nil {
		c, err := client.Connect(s.addr, "root", "", "", func(c *client.Conn) error {
			c.SetCapability(gomysql.CLIENT_MULTI_RESULTS | gomysql.CLIENT_PS_MULTI_RESULTS)
			return nil
		})
		check(s.t, err)
		s.t.Cleanup(func() { c.Close() })
		s.conns[name] = &raw{s.t, c}
		if name != '1' {
			s.conns[name].say("USE app")
		}
	}
	return s.conns[name]
}

// say says a line of a script, and returns the answer.
func (s *speaker) say(line string) string {
	name := byte('1')
	if len(line) > 1 && line[0] >= '2' && line[0] <= '9' && strings.IndexByte(">&=", line[1]) >= 0 {
		name = line[0]
		how := line[1]
		line = strings.TrimSpace(line[2:])
		switch how {
		case '&':
			s.conn(name).send(append([]byte{wire.ComQuery}, line...)...)
			return "sent"
		case '=':
			return s.conn(name).answers()
		}
	}
	r := s.conn(name)
	if text, prepared := strings.CutPrefix(line, "?"); prepared {
		text, list, _ := strings.Cut(text, "<-")
		var parameters []string
		if list != "" {
			parameters = strings.Split(strings.TrimSpace(list), ", ")
		}
		return r.sayPrepared(strings.TrimSpace(text), parameters)
	}
	return r.say(line)
}

func (r *raw) say(text string) string {
	r.t.Helper()
	r.send(append([]byte{wire.ComQuery}, text...)...)
	return r.answers()
}

func (r *raw) sayPrepared(text string, parameters []string) string {
	r.t.Helper()
	r.send(append([]byte{wire.ComStmtPrepare}, text...)...)
	first := r.packet()
	if first[0] == wire.HeaderError {
		return "prepare: " + wire.ParseError(first).Error()
	}
	out := fmt.Sprintf("prepare: %x", first[5:])
	for _, n := range []uint16{binary.LittleEndian.Uint16(first[7:]), binary.LittleEndian.Uint16(first[5:])} {
		if n > 0 {
			_, columns, _ := r.upToEnd()
			out += columns
		}
	}
	execute := append(append([]byte{wire.ComStmtExecute}, first[1:5]...), 0, 1, 0, 0, 0)
	if len(parameters) > 0 {
		execute = append(execute, make([]byte, (len(parameters)+7)/8)...)
		execute = append(execute, 1)
		for range parameters {
			execute = append(execute, 0xfd, 0)
		}
		for _, p := range parameters {
			execute = append(wire.AppendLenenc(execute, uint64(len(p))), p...)
		}
	}
	r.send(execute...)
	out += "\n" + r.answers()
	r.send(append([]byte{wire.ComStmtClose}, first[1:5]...)...)
	return out
}

func (r *raw) packet() []byte {
	r.t.Helper()
	p, err := r.c.ReadPacket()
	check(r.t, err)
	return append([]byte(nil), p...)
}

// upToEnd reads packets up to one that ends rows or columns, or tells of an error.
func (r *raw) upToEnd() (rows []string, shown string, end []byte) {
	r.t.Helper()
	for {
		p := r.packet()
		if p[0] == wire.HeaderError || wire.IsEnd(p, false) {
			return rows, shown, p
		}
		rows = append(rows, string(p))
		shown += fmt.Sprintf("\n  %q", p)
	}
}

// answers reads all results of a statement.
func (r *raw) answers() string {
	r.t.Helper()
	out := ""
	for {
		one, more := r.answer()
		if out += one; !more {
			return out
		}
		out += "\n"
	}
}

func (r *raw) answer() (shown string, more bool) {
	r.t.Helper()
	p := r.packet()
	switch p[0] {
	case wire.HeaderError:
		return wire.ParseError(p).Error(), false
	case wire.HeaderOK:
		return shownEnd("OK", p)
	}
	_, columns, end := r.upToEnd()
	if end[0] == wire.HeaderError {
		return columns + "\n" + wire.ParseError(end).Error(), false
	}
	shown, _ = shownEnd("columns", end)
	_, rows, end := r.upToEnd()
	shown = shown + columns + "\n rows" + rows + "\n "
	if end[0] == wire.HeaderError {
		return shown + wire.ParseError(end).Error(), false
	}
	last, more := shownEnd("end", end)
	return shown + last, more
}

// shownEnd is what a packet that ends something says, and whether another result follows.
func shownEnd(what string, p []byte) (shown string, more bool) {
	if p[0] == wire.HeaderEOF {
		status := binary.LittleEndian.Uint16(p[3:])
		return fmt.Sprintf("%s status=%04x warnings=%d", what, status, binary.LittleEndian.Uint16(p[1:])), status&wire.StatusMoreResults != 0
	}
	rows, rest, _ := wire.Lenenc(p[1:])
	id, rest, _ := wire.Lenenc(rest)
	status := binary.LittleEndian.Uint16(rest)
	return fmt.Sprintf("%s rows=%d id=%d status=%04x warnings=%d %q", what, rows, id, status, binary.LittleEndian.Uint16(rest[2:]), rest[4:]), status&wire.StatusMoreResults != 0
}
