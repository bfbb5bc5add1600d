package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// procedure is what CALL executes as a block of its own, because the body ends transactions or changes the schema: see
// programRun.
type procedure struct {
	database   string
	parameters []parameter
	program    statement.Program
	mode       string // of SQL
	dialect    statement.Dialect
	collation  string // of the connection
	caller     string // whose rights were looked at, as CURRENT_USER() says
	asOf       uint64 // schema changes
}

type parameter struct {
	mode, name, declared string
}

// out reports whether the caller is told the parameter's value.
func (p *parameter) out() bool { return p.mode == "OUT" || p.mode == "INOUT" }

// procedures are those that were looked at since the schema has changed last, nil where the server may execute one by itself.
type procedures struct {
	mu      sync.Mutex
	changes uint64
	known   map[string]*procedure
}

// maxName bounds the bytes of a name with its database: each has 64 characters at most.
const maxName = 2 * 64 * 4

// maxProcedures are kept, of all clients, and names of as many for each session.
const maxProcedures = 1000

func (p *procedures) find(changes uint64, name string) (found *procedure, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes != changes || p.known == nil || len(p.known) >= maxProcedures {
		p.changes, p.known = changes, make(map[string]*procedure)
	}
	found, ok = p.known[name]
	return found, ok
}

func (p *procedures) keep(changes uint64, name string, found *procedure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes == changes {
		p.known[name] = found
	}
}

// procedure returns what a CALL is to be executed as, or nil where the server may do it.
func (s *session) procedure(c *call) (found *procedure, said statement.Call, err error) {
	said, ok := statement.ReadCall(c.text, s.dialect)
	if !ok || c.payload[0] != wire.ComQuery || c.earlier || s.reader || !s.results || len(said.Database)+len(said.Name) > maxName {
		return nil, said, nil
	}
	changes, named := s.server.backend.SchemaChanges(), [2]string{said.Database, strings.ToLower(said.Name)}
	if at, ok := s.plain[named]; ok && at == changes {
		return nil, said, nil
	}
	row, err := s.row("SELECT IFNULL(DATABASE(),''), CURRENT_USER()")
	if err != nil {
		return nil, said, err
	}
	if said.Database == "" {
		said.Database = row[0]
	}
	key := strings.Join([]string{row[1], said.Database, strings.ToLower(said.Name)}, "\x00")
	found, ok = s.server.procedures.find(changes, key)
	if !ok {
		if found, err = s.readProcedure(said); err != nil {
			return nil, said, err
		}
		if found != nil {
			found.caller, found.asOf = row[1], changes
		}
		s.server.procedures.keep(changes, key, found)
	}
	if found == nil {
		if len(s.plain) >= maxProcedures {
			clear(s.plain)
		}
		s.plain[named] = changes
	}
	if found == nil || len(found.parameters) != len(said.Arguments) {
		return nil, said, nil // or the server's own words
	}
	for i := range found.parameters {
		if found.parameters[i].out() && !statement.IsUserVariable(said.Arguments[i], s.dialect) {
			return nil, said, nil
		}
	}
	return found, said, nil
}

// readProcedure looks at the body of a procedure. One that acts with another account's rights is left to the server, which
// knows these: as a block it would have the caller's.
func (s *session) readProcedure(said statement.Call) (*procedure, error) {
	row, err := s.tryRow(unbounded + "SELECT HEX(CONVERT(routine_definition USING utf8mb4)), sql_mode, collation_connection, routine_schema" +
		" FROM information_schema.routines WHERE routine_type='PROCEDURE' AND (security_type='INVOKER' OR definer=CURRENT_USER())" +
		" AND routine_schema=" + s.literal(said.Database) + " AND routine_name=" + s.literal(said.Name))
	if err != nil || len(row) != 4 || row[0] == "" {
		return nil, err
	}
	body, err := hex.DecodeString(row[0])
	if err != nil {
		return nil, fmt.Errorf("the body of a procedure: %w", err)
	}
	p := &procedure{database: row[3], mode: row[1], collation: row[2]}
	d := withMode(s.dialect, p.mode)
	p.dialect = d
	var reason string
	if p.program, reason = statement.ReadProgram(string(body), d); len(p.program.Steps) == 0 || reason != "" || hasWord(p.mode, "ORACLE") {
		return nil, nil
	}
	if seen, err := s.callsSeen(p, string(body)); !seen || err != nil {
		return nil, err
	}
	parameters, err := s.row("SELECT IFNULL(GROUP_CONCAT(HEX(CONCAT_WS(CHAR(9 USING utf8mb4), parameter_mode, parameter_name, data_type, CONCAT(dtd_identifier," +
		" IFNULL(CONCAT(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), '')))) ORDER BY ordinal_position), '')" +
		" FROM information_schema.parameters WHERE routine_type='PROCEDURE' AND ordinal_position>0 AND specific_schema=" + s.literal(said.Database) +
		" AND specific_name=" + s.literal(said.Name))
	if err != nil {
		return nil, err
	}
	for _, text := range strings.Split(parameters[0], ",") {
		if text == "" {
			continue
		}
		told, err := hex.DecodeString(text)
		fields := strings.Split(string(told), "\t")
		if err != nil || len(fields) != 4 || strings.EqualFold(fields[2], "ROW") {
			return nil, nil
		}
		p.parameters = append(p.parameters, parameter{mode: fields[0], name: fields[1], declared: fields[3]})
	}
	return p, nil
}

// callsSeen reports whether a procedure calls none that the server must not execute by itself, and does not reach past its
// transaction in other words than those of its steps.
func (s *session) callsSeen(p *procedure, body string) (bool, error) {
	if statement.ReachesPast(body, p.dialect) != "" {
		return false, nil
	}
	if !p.program.Calls {
		return true, nil
	}
	known, err := s.server.readCallables(false)
	if err != nil {
		return false, err
	}
	return known.unseen(statement.ReadNames(body, p.dialect), p.database) == nil, nil
}

// literal is a text as the session's server reads it.
func (s *session) literal(text string) string {
	if s.dialect.NoBackslashEscapes {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return literal(text)
}

// hasWord reports whether a list with commas has a word.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}
