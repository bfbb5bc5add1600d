package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// Locks of tables. The server's own would keep the transactions from being prepared, so that sessions hold these:
//
// A session that locks for reading alone reads from one consistent snapshot, which nobody can tell from tables that do not
// change: it must not write meanwhile. One that locks for writing keeps all others from writing anything, as a schema change
// does, and its own statements are transactions as ever.

// tableLock is what LOCK TABLES has got for a session.
type tableLock uint8

const (
	noLock        tableLock = iota
	readLock                // LOCK TABLES ... READ: its transaction is the snapshot
	writeLock               // LOCK TABLES ... WRITE: it is behind the barrier of schema changes
	readLockOfAll           // FLUSH TABLES WITH READ LOCK: the same, and it writes nothing itself
)

// excludes reports whether the lock keeps others from writing.
func (l tableLock) excludes() bool { return l >= writeLock }

const (
	codeTableReadLocked = 1099 // who has locked the table for reading changes it
	codeReadLocked      = 1223 // who has said FLUSH TABLES WITH READ LOCK writes
)

// lockTables executes LOCK TABLES, which gives back what was locked before.
func (s *session) lockTables(c call) error {
	if err := s.unlock(true); err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	if err := s.mayLock(c); err != nil {
		return err
	}
	if c.what.Writes && s.access == statement.ReadOnly {
		return s.refuseReadOnly()
	}
	if err := s.proveOffice(); err != nil {
		return err
	}
	var err error
	switch {
	case c.what.Everything:
		err = s.lockOut(readLockOfAll, nil)
	case c.what.Writes:
		err = s.lockOut(writeLock, c.what.Tables)
	default:
		err = s.lockSnapshot(c.what.Tables)
	}
	if err != nil {
		return err
	}
	for _, table := range c.what.Tables { // the server says whether it is there, and may be read
		if err := s.probe(table); err != nil {
			return errors.Join(err, s.unlock(true))
		}
	}
	return nil
}

func (s *session) probe(table string) error {
	_, err := s.tryRow("SELECT 1 FROM " + table + " LIMIT 0")
	return err
}

// lockOut keeps all other sessions from writing, for the sake of tables.
func (s *session) lockOut(lock tableLock, tables []string) error {
	patience, err := s.barrierPatience()
	if err != nil {
		return err
	}
	current, err := s.row("SELECT IFNULL(DATABASE(),'')")
	if err != nil {
		return err
	}
	ctx, cancel := s.interruptible(patience)
	defer cancel()
	err = s.server.gate.exclude(ctx)
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	if err != nil {
		return &wire.Error{Code: codeLockTimeout, State: "HY000", Message: fmt.Sprintf("Lock wait timeout exceeded; try restarting transaction "+
			"(Nexus: %s for %v)", s.server.gate.held(), patience)}
	}
	s.locked, s.excluding, s.lockedTables, s.lockedIn = lock, true, tables, current[0]
	s.lockEnds.Store(time.Now().Add(s.server.cfg.LockTimeout).UnixNano())
	return nil
}

// lockSnapshot lets the session read what is there now.
func (s *session) lockSnapshot(tables []string) error {
	if err := s.ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	if err := s.startReading(statement.Statement{Snapshot: true}); err != nil {
		return err
	}
	s.locked = readLock
	s.lockedTables = tables
	return nil
}

// unlock gives back what LOCK TABLES has got, and commits what is open then; after FLUSH TABLES WITH READ LOCK, only if all is
// set, it stays open.
func (s *session) unlock(all bool) error {
	lock := s.locked
	switch {
	case lock == noLock:
		return nil
	case all || lock != readLockOfAll:
		if err := s.commit(); err != nil {
			return err
		}
	}
	s.letIn()
	return nil
}

// letIn lets the others write again, if this session keeps them from it. A transaction that is still open goes on as one of
// them.
func (s *session) letIn() {
	lock := s.locked
	s.locked = noLock
	if !lock.excludes() {
		return
	}
	s.excluding = false
	s.lockEnds.Store(0)
	if s.tx != nil {
		s.server.gate.remain()
		return
	}
	s.server.gate.readmit()
}

// unlockDropped gives the lock back of a session that has dropped the last of its tables, in the database current where they are named without one.
func (s *session) unlockDropped(what *statement.Statement, current string) error {
	if s.locked != writeLock || what.Verb != "DROP TABLE" && what.Verb != "DROP TABLES" {
		return nil
	}
	for _, dropped := range what.Tables {
		s.lockedTables = slices.DeleteFunc(s.lockedTables, func(locked string) bool { return wholeName(locked, s.lockedIn) == wholeName(dropped, current) })
	}
	if len(s.lockedTables) > 0 {
		return nil
	}
	return s.unlock(true)
}

// endsUnderLock executes COMMIT and ROLLBACK of a session that has locked for reading, which end nothing.
func (s *session) endsUnderLock(c call) bool {
	// What came since may have ended the snapshot, as SET autocommit=1 does.
	return s.locked == readLock && s.tx != nil && s.tx.xa == nil && !c.what.Release && !c.what.Chain
}

// errReadOnly is the server's.
var errReadOnly = &wire.Error{Code: codeReadOnly, State: "25006", Message: "Cannot execute statement in a READ ONLY transaction"}

// refuseReadOnly returns it for a statement that the server is not asked to execute.
func (s *session) refuseReadOnly() error {
	s.facts.warnings = []appliers.Warning{{Level: "Error", Code: errReadOnly.Code, Message: errReadOnly.Message}}
	return errReadOnly
}

// changeInReadOnly is the error for who changes the schema in a transaction that is READ ONLY. That is one of LOCK TABLES, maybe: the
// server then speaks of the table.
func (s *session) changeInReadOnly(what *statement.Statement) *wire.Error {
	if s.locked != readLock || len(what.Tables) == 0 {
		return errReadOnly
	}
	if what.Verb == "RENAME" {
		return &wire.Error{Code: codeActiveLocks, State: "HY000", Message: "Can't execute the given command because you have active locked tables or an active transaction"}
	}
	name := lastName(what.Tables[0])
	for _, table := range s.lockedTables {
		if strings.EqualFold(lastName(table), name) {
			return &wire.Error{Code: codeTableReadLocked, State: "HY000", Message: "Table '" + name + "' was locked with a READ lock and can't be updated"}
		}
	}
	return &wire.Error{Code: codeNotLocked, State: "HY000", Message: "Table '" + name + "' was not locked with LOCK TABLES"}
}

// wholeName is the name of a table with its database.
func wholeName(table, current string) [2]string {
	if at := strings.LastIndexByte(table, '.'); at >= 0 {
		current = lastName(table[:at])
	}
	return [2]string{current, lastName(table)}
}

// lastName is the name of a table without its database and quotes.
func lastName(table string) string {
	name := strings.TrimSpace(table[strings.LastIndexByte(table, '.')+1:])
	return strings.ReplaceAll(strings.Trim(name, "`"), "``", "`")
}

// writesUnderLock refuses what a session must not do that has locked all tables for reading.
func (s *session) writesUnderLock(what *statement.Statement) *wire.Error {
	if s.locked != readLockOfAll {
		return nil
	}
	switch what.Kind {
	case statement.Write, statement.DDL, statement.CreateSelect, statement.LockingRead:
		return &wire.Error{Code: codeReadLocked, State: "HY000", Message: "Can't execute the query because you have a conflicting read lock"}
	}
	return nil
}

// watchLock bounds how long a session may do nothing while it keeps all others from writing.
func (s *session) watchLock() error {
	if !s.locked.excludes() {
		return nil
	}
	left := time.Until(time.Unix(0, s.lockEnds.Load()))
	return s.client.SetReadDeadline(time.Now().Add(min(left, s.server.cfg.GateTimeout)))
}

// lockOverdue reports whether a session has kept all others from writing for too long.
func (s *session) lockOverdue() bool {
	ends := s.lockEnds.Load()
	return ends != 0 && time.Now().UnixNano() >= ends
}

// lockExpired is what the session is ended with that has kept all others from writing for too long; nil for others.
func (s *session) lockExpired() *wire.Error {
	if !s.lockOverdue() {
		return nil
	}
	return &wire.Error{Code: codeKilled, State: "70100", Message: fmt.Sprintf("Nexus: the connection is closed and its tables are unlocked: "+
		"they were locked for %v, which kept all others from writing (-tableLockTimeout)", s.server.cfg.LockTimeout)}
}

// refreshed are the statements that the bits of COM_REFRESH stand for.
var refreshed = []string{"FLUSH PRIVILEGES", "FLUSH LOGS", "FLUSH TABLES", "FLUSH HOSTS", "FLUSH STATUS"}

// refresh is FLUSH as a command.
func (s *session) refresh(payload []byte) error {
	if len(payload) < 2 || payload[1] == 0 || payload[1]>>len(refreshed) != 0 {
		s.fail(refused("COM_REFRESH is refused: it is for one server that replicates"))
		return nil
	}
	for flags, i := payload[1], 0; flags != 0; flags, i = flags>>1, i+1 {
		if flags&1 == 0 {
			continue
		}
		mark := s.client.Mark()
		failed, err := s.dispatch(s.textCall(refreshed[i], false))
		if failed || err != nil {
			return err
		}
		if flags > 1 {
			s.client.Rewind(mark) // there is one answer for all
		}
	}
	return nil
}

// flushStatus is what begins the counters of the session anew, as FLUSH does with others.
const flushStatus = "FLUSH STATUS"

// flush lets the server empty a cache, which commits.
func (s *session) flush(c call) (bool, error) {
	if s.locked != readLock {
		if err := s.commit(); err != nil {
			return true, s.failWith(err)
		}
	}
	c = s.textCall(c.what.Rewritten, c.more)
	s.flushed = true
	return s.relayRead(c)
}
