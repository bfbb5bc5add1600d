package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Steering leads a program that a client's connection executes on this server from one transaction to the next. Where the
// program has to wait for the log, it asks for a lock with a name that the steering holds: when it is given that one, and the
// steering holds the one behind it, it may go on, with the answer that was left in nexus.program_answer. Should the steering be gone
// with its connection, it does not hold the one behind. Each procedure that the program calls has locks of its own: whatever becomes of the
// call, who has called it goes on with those it had.
type Steering struct {
	b          *Backend
	k          *conn
	connection uint64

	mu     sync.Mutex // the applier may let a program go on of which the session has just given up
	chains []*chain   // of the procedures that are being executed, the innermost one last
}

// chain is the locks of one procedure.
type chain struct {
	prefix string
	step   int
	ruling string // the lock that says what becomes of what was told last; "" for none
}

// lockOf is the name of the lock of a step.
func (c *chain) lockOf(step int) string { return fmt.Sprint(c.prefix, step) }

// answerTable may be missing on a server that an earlier program has claimed. Its rows are of this server alone. xid is empty: the
// name of a transaction is nobody else's business.
const answerTable = "CREATE TABLE IF NOT EXISTS nexus.program_answer (connection BIGINT UNSIGNED PRIMARY KEY, step INT UNSIGNED NOT NULL, code SMALLINT UNSIGNED NOT NULL," +
	" state CHAR(5) NOT NULL, message VARCHAR(512) CHARACTER SET utf8mb4 NOT NULL, xid VARCHAR(80) NOT NULL, sequence BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"

// StepAnswer is what a program is told about what it has waited for.
type StepAnswer struct {
	Failed *ServerError // nil if it succeeded
	Next   *Transaction // in which it goes on
}

// Steer returns a Steering of the program that a connection is about to execute. It has to be closed.
func (b *Backend) Steer(ctx context.Context, connection uint64) (*Steering, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &chain{prefix: lockPrefix(newSecret())}
	s := &Steering{b: b, k: k, connection: connection, chains: []*chain{c}}
	err = k.run(ctx, "SET NAMES utf8mb4") // see Executing
	if err == nil {
		err = s.lock(ctx, c.lockOf(0))
	}
	if err != nil {
		k.close()
		return nil, err
	}
	b.steered.set(connection, uint64(k.c.GetConnectionID()))
	return s, nil
}

// lock takes a lock that nobody else knows.
func (s *Steering) lock(ctx context.Context, name string) error {
	row, err := s.k.row(ctx, fmt.Sprintf("SELECT GET_LOCK(%s, 0)", quote(name)))
	if err != nil {
		return err
	}
	if len(row) != 1 || row[0] != "1" {
		return errors.New("the lock that leads a program is not free")
	}
	return nil
}

// LockPrefix begins the names of the locks of a procedure that is called with a key; the number of a step follows, from 0 on, or a key and a ruling.
const LockPrefix = "nexus-"

func lockPrefix(key string) string { return LockPrefix + key + "-" }

// Prefix begins the names of the locks of the procedure that was called first, as LockPrefix.
func (s *Steering) Prefix() string { return s.chains[0].prefix }

// ID is that of the connection that holds the locks.
func (s *Steering) ID() uint64 { return uint64(s.k.c.GetConnectionID()) }

// Proceed lets the program go on, with an answer where it is not nil.
func (s *Steering) Proceed(ctx context.Context, answer *StepAnswer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errNotLed
	}
	if answer != nil {
		e := answer.Failed
		if e == nil {
			e = &ServerError{}
		}
		if err := s.k.run(ctx, fmt.Sprintf("REPLACE INTO nexus.program_answer VALUES (%d, %d, %d, %s, LEFT(%s, 512), '', %d)",
			s.connection, s.top().step, e.Code, quote(e.State), quote(e.Message), answer.Next.sequence)); err != nil {
			return err
		}
	}
	return s.advance(ctx)
}

func (s *Steering) top() *chain { return s.chains[len(s.chains)-1] }

// Ruling says what becomes of a text that a program has told. It ends the name of a lock: in its transaction the program sees no row
// that was written meanwhile.
type Ruling string

const (
	// Refuse lets it fail.
	Refuse Ruling = ""
	// Execute lets the program execute it.
	Execute Ruling = "+"
	// Commit ends the transaction in its place.
	Commit Ruling = "c"
	// RollBack undoes it.
	RollBack Ruling = "r"
	// Try is Commit, for a schema change that may be of a temporary table: see Leave.
	Try Ruling = "t"
	// Fill makes and fills a table in its place; the number of a letter in the text follows.
	Fill Ruling = "f"
	// Misread lets it fail as one that is no SQL.
	Misread Ruling = "s"
	// TooDeep lets a call fail as one of a procedure that may not call itself once more.
	TooDeep Ruling = "d"
)

// Leave leaves a text for the program, which reads it where the answer of a step stands, when it is in no transaction.
func (s *Steering) Leave(ctx context.Context, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errNotLed
	}
	return s.k.run(ctx, fmt.Sprintf("REPLACE INTO nexus.program_answer VALUES (%d, %d, 0, '', %s, '', 0)", s.connection, s.top().step, quote(text)))
}

// Decide lets the program go on with a ruling. The lock of it is named after the key that the program has told with the text, so that
// it is of no other text.
func (s *Steering) Decide(ctx context.Context, key string, v Ruling) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decide(ctx, key, v)
}

// Call lets the program call a procedure, with the key that it has told with that. From then on it is that one which is led.
func (s *Steering) Call(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errNotLed
	}
	called := &chain{prefix: lockPrefix(key)}
	if err := s.lock(ctx, called.lockOf(0)); err != nil {
		return err
	}
	if err := s.decide(ctx, key, Execute); err != nil {
		return err
	}
	s.chains = append(s.chains, called)
	return nil
}

// Return leads the procedure that is the n-th in a row of calls, the first one being 0; those that it has called have ended.
func (s *Steering) Return(ctx context.Context, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errNotLed
	}
	for len(s.chains) > n+1 {
		over := s.top()
		s.chains = s.chains[:len(s.chains)-1]
		if err := s.release(ctx, over.lockOf(over.step), over.ruling); err != nil {
			return err
		}
	}
	return nil
}

// Executing is the beginning of the statement that the server is executing for the program, as its list of processes has it: while no statement is executed that is sent
// to the server as a text, that is the CALL of the procedure that is being executed.
func (s *Steering) Executing(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return "", errNotLed
	}
	row, err := s.k.row(ctx, fmt.Sprintf("SELECT LEFT(info, 1000) FROM information_schema.processlist WHERE id=%d", s.connection))
	if err != nil || len(row) == 0 {
		return "", err
	}
	return row[0], nil
}

// Row is that of the Backend, on the connection that leads the program.
func (s *Steering) Row(ctx context.Context, question string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return nil, errNotLed
	}
	return s.k.row(ctx, question)
}

var errNotLed = errors.New("nobody leads the program any more")

func (s *Steering) decide(ctx context.Context, key string, v Ruling) error {
	if s.k == nil {
		return errNotLed
	}
	c := s.top()
	before := c.ruling
	c.ruling = ""
	if v != Refuse {
		c.ruling = c.prefix + key + string(v)
		if err := s.lock(ctx, c.ruling); err != nil {
			return err
		}
	}
	if err := s.advance(ctx); err != nil {
		return err
	}
	return s.release(ctx, before)
}

// advance takes the lock of the next step and gives that of this one.
func (s *Steering) advance(ctx context.Context) error {
	c := s.top()
	released := c.lockOf(c.step)
	c.step++
	if err := s.lock(ctx, c.lockOf(c.step)); err != nil {
		return err
	}
	return s.release(ctx, released)
}

// release gives locks, of which some may be none.
func (s *Steering) release(ctx context.Context, names ...string) error {
	var given []string
	for _, name := range names {
		if name != "" {
			given = append(given, "RELEASE_LOCK("+quote(name)+")")
		}
	}
	if len(given) == 0 {
		return nil
	}
	_, err := s.k.exec(ctx, "DO "+strings.Join(given, ", "))
	return err
}

// Close ends it. A program that still waits gives up.
func (s *Steering) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.k
	s.k = nil
	defer k.close()
	s.b.steered.remove(s.connection)
	forget := fmt.Sprintf("DELETE FROM nexus.program_answer WHERE connection=%d", s.connection)
	_, err := k.exec(ctx, forget)
	if err == nil {
		return nil
	}
	other, err := s.b.connect(ctx) // the one that led the program is lost
	if err != nil {
		return err
	}
	defer other.close()
	_, err = other.exec(ctx, forget)
	return err
}

// steered are the connections of programs that wait for a schema change, and of those who lead them, which must not be ended to
// make way for it.
type steered struct {
	mu          sync.Mutex
	connections map[uint64]uint64 // by that of the program, that of its Steering
}

func (s *steered) set(connection, leader uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connections == nil {
		s.connections = make(map[uint64]uint64)
	}
	s.connections[connection] = leader
}

func (s *steered) remove(connection uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, connection)
}

func (s *steered) list() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []uint64
	for connection, leader := range s.connections {
		all = append(all, connection, leader)
	}
	return all
}
