package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// procedure is what CALL executes as a program of its own, because the body ends transactions, changes the schema or executes texts: see
// programRun.
type procedure struct {
	appliers.Procedure
	program statement.Program
	dialect statement.Dialect
	account string // whose rights it has, as CURRENT_USER() says
	caller  string // who calls it, where the client does
	// foreign is set where these are not those of the caller; hidden, where the caller may not see the body.
	foreign, hidden bool
	asOf            uint64 // schema changes
	stored          string // all that is said of it, and who may call it
	// calls are those that steps call, by the numbers of these, where others have to stand in for them: see readReached.
	calls map[int]*procedure
	// failing are steps that call one with too many arguments, or too few, which the server refuses.
	failing map[int]bool
	// reached are all of these, of this one and of each other, where the client calls it.
	reached []*procedure
	// loses is set where the transactions of it may be lost: see loss.go.
	loses bool
}

// out reports whether the caller is told the value of a parameter.
func out(p *appliers.Parameter) bool { return p.Mode == "OUT" || p.Mode == "INOUT" }

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
	if c.prepared != nil {
		said, ok = statement.ReadPreparedCall(c.text, s.dialect)
		ok = ok && isASCII(c.text) && !c.prepared.long && !wantsCursor(c.payload) // it is prepared again
	}
	if !ok || c.payload[0] != wire.ComQuery && c.prepared == nil || c.earlier || s.reader || !s.results || len(said.Database)+len(said.Name) > maxName {
		return nil, said, nil
	}
	changes, named := s.server.backend.SchemaChanges(), [2]string{said.Database, strings.ToLower(said.Name)}
	if c.prepared != nil && said.Database == "" {
		named[0] = c.prepared.database // of the time when it was prepared
	}
	if at, ok := s.plain[named]; ok && at == changes {
		return nil, said, nil
	}
	called, err := s.nameOf(said)
	if err != nil {
		return nil, said, err
	}
	if c.prepared != nil && said.Database == "" {
		called.database = c.prepared.database
	}
	key := strings.Join([]string{called.account, called.database, strings.ToLower(called.name)}, "\x00")
	found, ok = s.server.procedures.find(changes, key)
	if !ok {
		if found, err = s.readProcedure(called); err != nil {
			return nil, said, err
		}
		if found != nil {
			found.asOf = changes
		}
		s.server.procedures.keep(changes, key, found)
	}
	if found == nil {
		if len(s.plain) >= maxProcedures {
			clear(s.plain)
		}
		s.plain[named] = changes
	}
	return found, said, nil
}

// takes reports whether a procedure can be called with these arguments.
func (p *procedure) takes(arguments []string, d statement.Dialect) bool {
	if len(arguments) != len(p.Parameters) {
		return false
	}
	for i := range p.Parameters {
		if out(&p.Parameters[i]) && !statement.IsUserVariable(arguments[i], d) {
			return false
		}
	}
	return true
}

// calledName is what a CALL names, and who says it, in utf8mb4.
type calledName struct{ database, name, account string }

func (s *session) nameOf(said statement.Call) (n calledName, err error) {
	database := "IFNULL(DATABASE(),'')"
	if said.Database != "" {
		database = s.literal(said.Database)
	}
	row, err := s.row("SELECT HEX(CONVERT(" + database + " USING utf8mb4)), HEX(CONVERT(" + s.literal(said.Name) + " USING utf8mb4)), HEX(CONVERT(CURRENT_USER() USING utf8mb4))")
	if err != nil {
		return n, err
	}
	for i, text := range []*string{&n.database, &n.name, &n.account} {
		raw, err := hex.DecodeString(row[i])
		if err != nil {
			return n, fmt.Errorf("the name of a procedure: %w", err)
		}
		*text = string(raw)
	}
	return n, nil
}

// storedProcedure selects a procedure, its parameters, and who may call it by a right that is of it alone.
var storedProcedure = "SELECT routine_schema, routine_name, definer, security_type, sql_mode, collation_connection," +
	" (SELECT " + appliers.WholeBody + " FROM mysql.proc WHERE type='PROCEDURE' AND db=%[1]s AND name=%[2]s)," +
	" (SELECT IFNULL(GROUP_CONCAT(CONCAT_WS('-', HEX(parameter_mode), HEX(parameter_name), HEX(CONCAT(dtd_identifier," +
	" IFNULL(CONCAT(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), '')))) ORDER BY ordinal_position), '')" +
	" FROM information_schema.parameters WHERE routine_type='PROCEDURE' AND ordinal_position>0 AND specific_schema=%[1]s AND specific_name=%[2]s)," +
	" (SELECT IFNULL(GROUP_CONCAT(CONCAT_WS('-', HEX(host), HEX(user)) ORDER BY host, user), '') FROM mysql.procs_priv WHERE routine_type='PROCEDURE' AND FIND_IN_SET('Execute', proc_priv) AND db=%[1]s AND routine_name=%[2]s)" +
	" FROM information_schema.routines WHERE routine_type='PROCEDURE' AND routine_schema=%[1]s AND routine_name=%[2]s"

// readProcedure looks at the body of a procedure, which the caller may not be allowed to see, and at those that it calls. It returns nil where the
// server may execute it by itself, or has to refuse the call.
func (s *session) readProcedure(called calledName) (*procedure, error) {
	p, err := s.server.readStored(called.database, called.name, s.dialect)
	if p == nil || err != nil {
		return nil, err
	}
	p.caller = called.account
	p.account, p.foreign = called.account, !p.Invoker && p.Definer != called.account
	if p.foreign {
		p.account = p.Definer
	}
	if err := s.server.readReached(p, s.dialect); err != nil || !p.program.Stepped() && len(p.calls) == 0 {
		return nil, err
	}
	if unseen, _, err := s.server.unseenIn(p); unseen != nil || err != nil {
		return nil, err
	}
	if p.hidden = p.foreign; !p.hidden {
		row, err := s.row("SELECT COUNT(routine_definition) FROM information_schema.routines WHERE routine_type='PROCEDURE' AND routine_schema=" + s.inSession(p.Database) + " AND routine_name=" + s.inSession(p.Name))
		if err != nil {
			return nil, err
		}
		p.hidden = row[0] == "0"
	}
	p.loses, err = s.server.mayLose(p.Body, p.dialect)
	return p, err
}

// readStored reads a procedure as the server has it. It returns nil where it cannot be executed with its steps.
func (s *Server) readStored(database, name string, d statement.Dialect) (*procedure, error) {
	row, err := s.storedRow(database, name)
	if err != nil || len(row) != procedureColumns || row[6] == "" {
		return nil, err
	}
	p := &procedure{Procedure: appliers.Procedure{Database: row[0], Name: row[1], Definer: row[2], Invoker: row[3] == "INVOKER", Mode: row[4], Collation: row[5], Body: row[6]}, stored: strings.Join(row, "\x00")}
	p.dialect = withMode(d, p.Mode)
	var reason string
	p.program, reason = statement.ReadProgram(p.Body, p.dialect)
	if reason != "" || len(p.program.Steps) == 0 || hasWord(p.Mode, "ORACLE") || statement.ReachesPast(p.Body, p.dialect) != "" {
		return nil, nil
	}
	if p.Parameters, err = parametersOf(row[7], p.dialect); err != nil || slices.ContainsFunc(p.Parameters, isRow) {
		return nil, err
	}
	return p, nil
}

// procedureColumns are those of storedProcedure.
const procedureColumns = 9

func (s *Server) storedRow(database, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, callablesTimeout)
	defer cancel()
	row, err := s.backend.Row(ctx, storedQuestion(database, name))
	if err != nil {
		return nil, unavailable(err)
	}
	return row, nil
}

func storedQuestion(database, name string) string {
	return fmt.Sprintf(storedProcedure, literal(database), literal(name))
}

// inSession is a text in utf8mb4 as the session's server reads it, whatever the session's character set is.
func (s *session) inSession(text string) string {
	return fmt.Sprintf("CONVERT(0x%x USING utf8mb4)", text)
}

// parametersOf reads what storedProcedure has selected of parameters, which are declared in dialect d.
func parametersOf(list string, d statement.Dialect) (parameters []appliers.Parameter, err error) {
	if list == "" {
		return nil, nil
	}
	for told := range strings.SplitSeq(list, ",") {
		var p appliers.Parameter
		fields := []*string{&p.Mode, &p.Name, &p.Declared}
		digits := strings.Split(told, "-")
		if len(digits) != len(fields) {
			return nil, fmt.Errorf("a parameter of a procedure is told as %q", told)
		}
		for i, field := range fields {
			raw, err := hex.DecodeString(digits[i])
			if err != nil {
				return nil, fmt.Errorf("a parameter of a procedure is told as %q: %w", told, err)
			}
			*field = string(raw)
		}
		if d.NoBackslashEscapes {
			p.Declared = statement.WithoutBackslashes(p.Declared)
		}
		parameters = append(parameters, p)
	}
	return parameters, nil
}

// isRow reports whether a parameter is of a type that information_schema does not spell out.
func isRow(p appliers.Parameter) bool { return strings.EqualFold(p.Declared, "ROW") }

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
