package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Steering leads a program that a client's connection executes on this server from one transaction to the next. Where the
// program has to wait for the log, it asks for a lock with a name that the steering holds: when it is given that one, and the
// steering holds the one behind it, it may go on, with the answer that was left in nexus.program_answer. Should the steering be gone
// with its connection, it does not hold the one behind.
type Steering struct {
	b          *Backend
	k          *conn
	connection uint64
	prefix     string

	mu     sync.Mutex // the applier may let a program go on of which the session has just given up
	step   int
	ruling string // the lock that says what becomes of what was told last; "" for none
}

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
	s := &Steering{b: b, k: k, connection: connection, prefix: "nexus-" + newSecret() + "-"}
	if err := s.lock(ctx, s.LockOf(0)); err != nil {
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

// Prefix begins the names of the locks; the number of a step follows, from 0 on, or a key and a ruling.
func (s *Steering) Prefix() string { return s.prefix }

// LockOf is the name of the lock of a step.
func (s *Steering) LockOf(step int) string { return fmt.Sprint(s.prefix, step) }

// ID is that of the connection that holds the locks.
func (s *Steering) ID() uint64 { return uint64(s.k.c.GetConnectionID()) }

// Proceed lets the program go on, with an answer where it is not nil.
func (s *Steering) Proceed(ctx context.Context, answer *StepAnswer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errors.New("nobody leads the program any more")
	}
	if answer != nil {
		e := answer.Failed
		if e == nil {
			e = &ServerError{}
		}
		if err := s.k.run(ctx, fmt.Sprintf("REPLACE INTO nexus.program_answer VALUES (%d, %d, %d, %s, LEFT(%s, 512), '', %d)",
			s.connection, s.step, e.Code, quote(e.State), quote(e.Message), answer.Next.sequence)); err != nil {
			return err
		}
	}
	return s.advance(ctx)
}

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
)

// Decide lets the program go on with a ruling. The lock of it is named after the key that the program has told with the text, so that
// it is of no other text.
func (s *Steering) Decide(ctx context.Context, key string, v Ruling) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.k == nil {
		return errors.New("nobody leads the program any more")
	}
	before := s.ruling
	s.ruling = ""
	if v != Refuse {
		s.ruling = s.prefix + key + string(v)
		if err := s.lock(ctx, s.ruling); err != nil {
			return err
		}
	}
	if err := s.advance(ctx); err != nil || before == "" {
		return err
	}
	_, err := s.k.exec(ctx, "DO RELEASE_LOCK("+quote(before)+")")
	return err
}

// advance takes the lock of the next step and gives that of this one.
func (s *Steering) advance(ctx context.Context) error {
	released := s.LockOf(s.step)
	s.step++
	if err := s.lock(ctx, s.LockOf(s.step)); err != nil {
		return err
	}
	_, err := s.k.exec(ctx, "DO RELEASE_LOCK("+quote(released)+")")
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
	_, err := k.exec(ctx, fmt.Sprintf("DELETE FROM nexus.program_answer WHERE connection=%d", s.connection))
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
