package mysql

import (
	"encoding/hex"
	"errors"
	"fmt"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A block that the client sends is executed as a procedure without a name, where it has steps: see programRun. It has the rights and settings of the session.

// mayBeBlock reports whether a statement is a block, as far as its kind tells.
func mayBeBlock(what *statement.Statement) bool {
	return what.Texts || what.Kind == statement.Write && what.Calls && what.Verb != "CALL"
}

// executeBlock executes a block with steps. done is false for any other statement, and for a block that cannot be executed so: the server may execute it as part of one
// transaction, or it is refused.
func (s *session) executeBlock(c call) (done, failed bool, err error) {
	said := c.payload[0] == wire.ComQuery && string(c.payload[1:]) == c.text && c.using == "" && !c.earlier // and is no EXECUTE
	if !said || s.reader || !s.results || s.system || s.locked == readLockOfAll || !s.mayWrite() || s.tx != nil && s.tx.xa == nil {
		return false, false, nil
	}
	what, body, ok := statement.ReadBlock(c.text, s.dialect)
	if !ok {
		return false, false, nil
	}
	if program, reason := statement.ReadProgram(body, s.dialect); reason != "" || len(program.Steps) == 0 {
		return false, false, nil
	}
	if e := s.refuseOwnCall(what.Verb, c.text, s.dialect); e != nil {
		return true, true, s.failWith(e)
	}
	if err := s.mayWriteFile(&what); err != nil {
		return true, true, s.failWith(err)
	}
	s.facts = facts{}
	alone := s.tx == nil
	for looks := 1; ; looks++ {
		p, e, err := s.readBlock(body)
		if err != nil {
			return true, true, s.failWith(err)
		}
		if p == nil {
			return false, false, nil
		}
		failed, err = s.runProcedure(c, p, e, alone && looks < maxLooks)
		if !errors.Is(err, justChanged) {
			return true, failed, err
		}
	}
}

// readBlock looks at a block and at what it calls. It returns nil where it cannot be executed with its steps.
func (s *session) readBlock(body string) (p *procedure, e *entry, err error) {
	row, err := s.row("SELECT HEX(CONVERT(IFNULL(DATABASE(),'') USING utf8mb4)), @@sql_mode, @@character_set_client, @@collation_connection, HEX(CONVERT(CURRENT_USER() USING utf8mb4))")
	if err != nil {
		return nil, nil, err
	}
	database, err := hex.DecodeString(row[0])
	account, other := hex.DecodeString(row[4])
	if err := errors.Join(err, other); err != nil {
		return nil, nil, fmt.Errorf("the session's database and account: %w", err)
	}
	client := row[2]
	body, ok, err := s.inUTF8(body, client)
	if err != nil || !ok || len(database) == 0 {
		return nil, nil, err
	}
	p = &procedure{Procedure: appliers.Procedure{Database: string(database), Mode: row[1], Collation: row[3], Body: body}, dialect: s.dialect, account: string(account), caller: string(account), asOf: s.server.backend.SchemaChanges()}
	var reason string
	if p.program, reason = statement.ReadProgram(body, p.dialect); reason != "" || len(p.program.Steps) == 0 {
		return nil, nil, nil
	}
	if err := s.server.readReached(p, s.dialect); err != nil || !p.program.Stepped() && len(p.calls) == 0 {
		return nil, nil, err
	}
	if unseen, _, err := s.server.unseenIn(p); unseen != nil || err != nil {
		return nil, nil, err
	}
	if p.loses, err = s.server.mayLose(body, p.dialect); err != nil {
		return nil, nil, err
	}
	if client != "utf8mb4" {
		if err := s.ask("SET SESSION character_set_client=utf8mb4"); err != nil {
			return nil, nil, err
		}
	}
	e = &entry{arguments: []string{}, rehearsed: true, restore: func() error { return s.behindBlock(client) }}
	if e.unsure, err = s.maySteps(p); err != nil {
		return nil, nil, errors.Join(err, e.restore())
	}
	return p, e, nil
}

// behindBlock gives the session its character set back, unless a text that the block has executed has chosen another one.
func (s *session) behindBlock(client string) error {
	row, err := s.row("SELECT @@character_set_client")
	if err != nil {
		return err
	}
	if client != "utf8mb4" && row[0] == "utf8mb4" {
		if err := s.ask("SET SESSION character_set_client=" + client); err != nil {
			return err
		}
	}
	return s.readDialect()
}
