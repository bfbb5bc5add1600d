package mysql

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// Session is the connection on which a transaction executes.
type Session interface {
	// SendCommit says XA COMMIT, without waiting for the answer, which Committed does. After an error nothing is known.
	SendCommit(xid string) error
	Committed() error
	// Disconnect closes the connection; the server rolls back what is not prepared.
	Disconnect()
	// ConnectionID is how the server calls the connection.
	ConnectionID() uint64
	// IsOfNode reports whether it is this node's own, and executes events.
	IsOfNode() bool
}

// ErrFenced means that a transaction cannot commit any more, because another term began.
var ErrFenced = errors.New("the leadership changed")

// transactionState says whose a transaction is.
type transactionState uint8

const (
	open     transactionState = iota // the session's
	prepared                         // maybe prepared, maybe proposed: the applier's
	ended                            // given up by its session; rolled back by the applier where that is not certain
)

// Transaction is one of a session, from XA START to its end.
type Transaction struct {
	b        *Backend
	epoch    uint64
	sequence uint64
	secret   string // a part of its name that no client can guess
	name     string
	xid      string // the name as XA START takes it
	session  Session
	captured chan captured
	lookups  float64 // that others have to do for its rows, as far as was looked; set by Captured

	// Guarded by transactions.mu.
	state     transactionState
	committed bool
}

// captured is what the binary log holds of a transaction.
type captured struct {
	marked     transactionID // as its marker says, where it has one
	events     []byte
	bytes      int  // more than events has if they are too many to be kept
	trespassed bool // it wrote rows that are Nexus's own
	astray     bool // it went back to a savepoint that is not known
	eventRuns  int  // how often it wrote that events were executed

	changed  []mappedTable // of which it is not known whether others find their rows
	findable *findable     // those that are known
}

// ErrTrespassed means that a transaction wrote rows that are Nexus's own, and must be rolled back.
var ErrTrespassed = errors.New("the tables position, applied, schema_change, address, global_variable, program_answer, rehearsal and event_run of schema nexus are Nexus's own")

// ErrAstray means that a transaction went back to a savepoint, and it is not certain to which. It must be rolled back.
var ErrAstray = errors.New("it has made a temporary table, and gone back to a savepoint which the server may not tell from another one: give savepoints names of ASCII letters")

// transactions are those that the sessions of this node have open.
type transactions struct {
	mu     sync.Mutex
	next   uint64
	fenced uint64 // epochs before it are over
	byID   map[transactionID]*Transaction
	byName map[string]*Transaction
	// expected are the names of those that the applier commits, until the binary log shows that.
	expected map[string]struct{}
	// given are those that their sessions ended without certainty, up to the next takeGiven.
	given []*Transaction
}

type transactionID struct{ epoch, sequence uint64 }

func (t *transactions) init() {
	t.byID = make(map[transactionID]*Transaction)
	t.byName = make(map[string]*Transaction)
	t.expected = make(map[string]struct{})
}

func (t *transactions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// Begin registers a transaction that session is about to start in epoch.
func (b *Backend) Begin(epoch uint64, session Session) (*Transaction, error) {
	return b.transactions.register(&Transaction{b: b, epoch: epoch, session: session})
}

// Again registers another transaction of the same session, under the name that t had, which has ended for certain. Which of them
// rows are of, their marker tells; which of them is prepared, that the others have ended.
func (t *Transaction) Again() (*Transaction, error) {
	return t.b.transactions.register(&Transaction{b: t.b, epoch: t.epoch, session: t.session, secret: t.secret, name: t.name, xid: t.xid})
}

func (t *transactions) register(tx *Transaction) (*Transaction, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tx.epoch < t.fenced {
		return nil, ErrFenced
	}
	t.next++
	tx.sequence, tx.captured = t.next, make(chan captured, 1)
	if tx.name == "" {
		tx.rename(newSecret())
	}
	if t.byName[tx.name] != nil {
		return nil, fmt.Errorf("transaction %d is to have the name of another one, which has not ended", tx.sequence)
	}
	t.byID[transactionID{tx.epoch, tx.sequence}] = tx
	t.byName[tx.name] = tx
	return tx, nil
}

// remove forgets a transaction. It is called with mu held.
func (t *transactions) remove(tx *Transaction) {
	delete(t.byID, transactionID{tx.epoch, tx.sequence})
	if t.byName[tx.name] == tx {
		delete(t.byName, tx.name)
	}
}

// XID is the transaction's name, as XA START takes it: in digits, which mean the same whatever character set the connection is
// in. A client that knew it could end the transaction beside Nexus, in a text that a program of its own makes up and that nobody looked at: there is
// none such. Its account sees the name among what the server is executing for the session, and transactions that are registered by Again keep it.
func (t *Transaction) XID() string { return t.xid }

// Follow gives the transaction, before it is started, the secret of the one before it in the same program, which knows that and
// has to be told the sequence only: everybody may read what programs are told.
func (t *Transaction) Follow(before *Transaction) {
	all := &t.b.transactions
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.byName, t.name)
	t.rename(before.secret)
	all.byName[t.name] = t
}

// Name has at most 64 bytes, as XA takes.
func (t *Transaction) Name() string { return t.name }

func (t *Transaction) rename(secret string) {
	t.secret = secret
	t.name = "nexus-" + strconv.FormatUint(t.epoch, 10) + "-" + strconv.FormatUint(t.sequence, 10) + "-" + secret
	t.xid = "0x" + hex.EncodeToString([]byte(t.name))
}

func newSecret() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// parseXID reads a name. That of an older version has no secret.
func parseXID(text string) (id transactionID, ok bool) {
	rest, ok := strings.CutPrefix(text, "nexus-")
	epoch, rest, found := strings.Cut(rest, "-")
	sequence, secret, _ := strings.Cut(rest, "-")
	if _, err := hex.DecodeString(secret); !ok || !found || err != nil {
		return id, false
	}
	var err error
	if id.epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return id, false
	}
	id.sequence, err = strconv.ParseUint(sequence, 10, 64)
	return id, err == nil
}

// Epoch is the term that the transaction belongs to.
func (t *Transaction) Epoch() uint64 { return t.epoch }

// Sequence numbers the transactions of an epoch; see Mark.
func (t *Transaction) Sequence() uint64 { return t.sequence }

// Mark is the statement that makes the transaction's own id one of its rows. It comes before XA END.
func (t *Transaction) Mark() string {
	return fmt.Sprintf("INSERT INTO nexus.applied VALUES (%d,%d)", t.epoch, t.sequence)
}

// Prepare must be called before XA PREPARE is said. From then on only End with certainty, or the applier, ends the
// transaction. ErrFenced: it cannot be committed any more, and its connection is closed.
func (t *Transaction) Prepare() error {
	t.b.transactions.mu.Lock()
	defer t.b.transactions.mu.Unlock()
	if t.state != open {
		return ErrFenced
	}
	t.state = prepared
	return nil
}

// Captured waits for the row events of the prepared transaction and returns the command that commits it.
func (t *Transaction) Captured(ctx context.Context) ([]byte, error) {
	select {
	case c := <-t.captured:
		runs := 0
		if t.session.IsOfNode() {
			runs = 1 // of the event that the node executes; what that event does has no more right to the table than a client
		}
		if c.trespassed || c.eventRuns > runs {
			return nil, ErrTrespassed
		}
		if c.astray {
			return nil, ErrAstray
		}
		var err error
		if t.lookups, err = t.b.checkFindable(ctx, t.session.ConnectionID(), c.changed, c.findable); err != nil {
			return nil, err
		}
		if limit := t.b.cfg.MaxTransactionBytes; c.bytes > limit {
			return nil, fmt.Errorf("%w: its rows have %d bytes, at most %d are allowed", raft.ErrTooLarge, c.bytes, limit)
		}
		return appendRows(make([]byte, 0, len(c.events)+32), t.epoch, t.sequence, c.events), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the rows of transaction %s in the binary log: %w", t.Name(), context.Cause(ctx))
	}
}

// End says that the session has rolled the transaction back, or committed it without having written. If it is not certain
// about that, the applier makes sure that nothing stays prepared.
func (t *Transaction) End(certain bool) {
	s := &t.b.transactions
	s.mu.Lock()
	defer s.mu.Unlock()
	t.state = ended
	if certain {
		s.remove(t)
		return
	}
	if s.byID[transactionID{t.epoch, t.sequence}] == t { // not fenced meanwhile
		s.given = append(s.given, t)
	}
}

// take returns the transaction that waits prepared for its commit, or nil.
func (t *transactions) take(epoch, sequence uint64) *Transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	tx := t.byID[transactionID{epoch, sequence}]
	if tx == nil || tx.state != prepared {
		return nil
	}
	return tx
}

// expect is called before txs are committed, and returns what their sessions are to commit.
func (t *transactions) expect(txs []*Transaction) []string {
	names := make([]string, len(txs))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, tx := range txs {
		if tx.committed {
			continue
		}
		names[i] = tx.XID()
		t.expected[tx.Name()] = struct{}{}
	}
	return names
}

// takeExpected takes the name that begins a text in hexadecimal digits, and reports whether it was expected.
func (t *transactions) takeExpected(text []byte) bool {
	digits, rest, _ := bytes.Cut(text, commonXID)
	var name [64]byte
	n, err := hex.Decode(name[:], digits[:min(len(digits), 2*len(name))])
	if err != nil || len(rest) > 0 || !bytes.HasSuffix(text, commonXID) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.expected[string(name[:n])]
	delete(t.expected, string(name[:n]))
	return ok
}

// missed forgets what is expected of transactions that have ended: the binary log is read on from its end.
func (t *transactions) missed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.expected {
		if tx := t.byName[name]; tx == nil || tx.state == open { // the next one of that name
			delete(t.expected, name)
		}
	}
}

// committed notes those of txs whose commit brought no error: should Apply fail after it, they are not committed again.
func (t *transactions) committed(txs []*Transaction, errs []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, tx := range txs {
		tx.committed = tx.committed || errs[i] == nil
	}
}

func (t *transactions) forget(txs []*Transaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tx := range txs {
		t.remove(tx)
	}
}

// deliver hands what was captured to the transaction called xid, if it is of that one and not of an earlier one of that name, which was rolled
// back: what is read again after a reconnection, or came late.
func (t *transactions) deliver(xid string, c captured) {
	t.mu.Lock()
	tx := t.byName[xid]
	t.mu.Unlock()
	if tx == nil || !c.trespassed && !c.astray && c.marked != (transactionID{tx.epoch, tx.sequence}) {
		return
	}
	select {
	case tx.captured <- c:
	default: // captured twice, after a reconnection
	}
}

// fence ends all transactions of epochs before term, and returns them.
func (t *transactions) fence(term uint64) []*Transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fenced = max(t.fenced, term)
	var over []*Transaction
	for _, tx := range t.byID {
		if tx.epoch < term && !tx.committed {
			tx.state = ended
			over = append(over, tx)
		}
	}
	return over
}

// takeGiven returns the transactions that their sessions ended without certainty since the last call.
func (t *transactions) takeGiven() []*Transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	given := t.given
	t.given = nil
	return given
}

// giveBack undoes takeGiven.
func (t *transactions) giveBack(txs []*Transaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given = append(t.given, txs...)
}

func (t *transactions) closeSessions() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tx := range t.byID {
		tx.session.Disconnect()
	}
}

// endTransactions disconnects the sessions of transactions that cannot be committed any more and rolls back those that
// are prepared.
func (b *Backend) endTransactions(ctx context.Context, over []*Transaction) error {
	if len(over) == 0 {
		return nil
	}
	b.forgetKnown() // a commit of theirs may have come through
	ids := make([]uint64, 0, len(over))
	names := make(map[string]bool)
	for _, tx := range over {
		tx.session.Disconnect()
		ids = append(ids, tx.session.ConnectionID())
		names[tx.Name()] = true
	}
	if err := b.kill(ctx, ids); err != nil {
		return fmt.Errorf("end transactions of an earlier term: %w", err)
	}
	if err := b.rollBackPrepared(ctx, func(name string) bool { return names[name] }); err != nil {
		return err
	}
	b.transactions.forget(over)
	return nil
}

// endGiven makes sure that nothing stays of the transactions that their sessions gave up.
func (b *Backend) endGiven(ctx context.Context) error {
	given := b.transactions.takeGiven()
	err := b.endTransactions(ctx, given)
	if err != nil {
		b.transactions.giveBack(given)
	}
	return err
}
