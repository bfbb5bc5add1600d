package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// A program tells its node before it calls a procedure with steps, and another one stands in for that. This one begins with keys and locks of its own,
// so that nothing of them has to come back, whether it ends or fails. That it has begun it tells without a key that anybody could prove: what it
// is called with shows in the list of processes. So the node looks there whether its server is executing just this call.

// standIn is a procedure that is called in the place of another one.
type standIn struct {
	name    string
	made    bool
	asOf    uint64 // schema changes, when the procedure was seen last
	changed bool   // since the program has begun
}

// calling stands in the place of a CALL.
func (r *programRun) calling(i int, step *statement.Step, callee *procedure) string {
	v := r.name
	var b strings.Builder
	fmt.Fprintf(&b, "BEGIN DECLARE %[1]s VARCHAR(64) CHARACTER SET utf8mb4 DEFAULT ''; %[2]sSET %[1]s=%[3]s; ", v("mine"), r.newKey(), v("key"))
	b.WriteString(r.row(tellCall, i, "@@max_sp_recursion_depth"))
	arguments := strings.Join(append([]string{v("mine")}, step.Call.Arguments...), ", ")
	tooDeep := fmt.Sprintf("BEGIN DECLARE %[1]s VARCHAR(512) CHARACTER SET utf8mb4 DEFAULT CONCAT('Recursive limit ', @@max_sp_recursion_depth, ' (as set by the max_sp_recursion_depth variable) was exceeded for routine ', %[2]s);"+
		" SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO=1456, MESSAGE_TEXT=%[1]s; END;", v("message"), inUTF8MB4(callee.Name))
	b.WriteString(r.wait(fmt.Sprintf("IF %s THEN %s%s); ELSEIF %s THEN %s ELSE %s END IF;", r.ruled(appliers.Execute), r.callOf(callee), arguments, r.ruled(appliers.TooDeep), tooDeep, refuseText)))
	b.WriteString(" END")
	return b.String()
}

// inUTF8MB4 is a text as any session reads it.
func inUTF8MB4(text string) string { return fmt.Sprintf("CONVERT(0x%x USING utf8mb4)", text) }

// callOf begins the CALL of what stands in for a procedure.
func (r *programRun) callOf(p *procedure) string {
	return "CALL " + quoteName(p.Database) + "." + r.standIns[p].name + "("
}

// calledStandIn is the procedure that is called in the place of callee, with the key that the call was told with as its first argument.
func (r *programRun) calledStandIn(callee *procedure, xa *appliers.Transaction) (p appliers.Procedure, body string) {
	p = callee.Procedure
	p.Parameters = append([]appliers.Parameter{{Mode: "IN", Name: r.name("with"), Declared: "VARCHAR(64) CHARACTER SET utf8mb4"}}, p.Parameters...)
	locks := fmt.Sprintf("CONCAT('%s', %s, '-')", appliers.LockPrefix, r.name("with"))
	begin := fmt.Sprintf(" BEGIN %sSELECT 1 AS %s, BINARY %s LIMIT 1; END; ", r.newKey(), r.name(tellBegin), r.name("hash"))
	return p, "BEGIN " + r.variables(xa, locks) + r.notOthers() + begin + r.wait("BEGIN END;") + " " + r.body(callee, xa.Epoch()) + "END"
}

// The number of the transaction that is open has to be known to whoever goes on in it, also behind a call that has failed. It is no secret, and who told a
// wrong one would keep the program from ending its transaction.
const sequenceVariable = "@nexus_sequence"

// tellSequence leaves the number of the transaction to the other procedures of a program.
func (r *programRun) tellSequence() string {
	if len(r.standIns) == 0 {
		return ""
	}
	return "SET " + sequenceVariable + "=" + r.name("sequence") + "; "
}

func (r *programRun) learnSequence() string {
	if len(r.standIns) == 0 {
		return ""
	}
	return "SET " + r.name("sequence") + "=" + sequenceVariable + "; " + r.nameTransaction()
}

// call lets the program call a procedure that it has told, or not.
func (r *programRun) call(callee *procedure, values []string) error {
	if callee == nil || len(values) != 1 {
		return errProgram
	}
	deepest, err := strconv.Atoi(values[0])
	if err != nil {
		return errProgram
	}
	ctx, cancel := context.WithTimeout(r.s.server.ctx, proceedTimeout+standInTimeout)
	defer cancel()
	called, ruling := &level{p: callee, user: callee.Definer}, appliers.Execute
	if callee.Invoker {
		called.user = r.user
	}
	called.foreign = called.user != r.caller
	if r.depthOf(callee) > deepest {
		ruling = appliers.TooDeep
	} else {
		refusal, err := r.prepareCallee(ctx, called)
		if err != nil {
			return err
		}
		if refusal != nil {
			ruling, r.refusal = appliers.Refuse, refusal
		}
	}
	if ruling != appliers.Execute {
		err = r.steering.Decide(ctx, r.key, ruling)
	} else if err = r.steering.Call(ctx, r.key); err == nil {
		r.below, r.level = append(r.below, r.level), called
	}
	if err != nil {
		return fmt.Errorf("lead a procedure to another one: %w", err)
	}
	return nil
}

// depthOf is how often a procedure is being executed.
func (r *programRun) depthOf(p *procedure) (n int) {
	for _, l := range append([]*level{r.level}, r.below...) {
		if l.p == p {
			n++
		}
	}
	return n
}

// prepareCallee makes what stands in for a procedure, if it was not called before.
func (r *programRun) prepareCallee(ctx context.Context, called *level) (refusal *wire.Error, err error) {
	p, s := called.p, r.s
	if changes := s.server.backend.SchemaChanges(); changes != r.standIns[p].asOf {
		row, err := r.steering.Row(ctx, storedQuestion(p.Database, p.Name))
		if err != nil {
			return nil, fmt.Errorf("see what a program calls: %w", err)
		}
		r.standIns[p].asOf = changes
		if strings.Join(row, "\x00") != p.stored {
			r.standIns[p].changed = true
		}
	}
	if r.standIns[p].changed {
		return refused("CALL of %s.%s is refused: it was changed, dropped, or allowed to others, while the procedure that calls it was being executed; call that again", p.Database, p.Name), nil
	}
	if called.rights, err = r.rightsOf(called.user, called.foreign); err != nil {
		return nil, fmt.Errorf("see the rights of a program: %s", err.Error())
	}
	if r.standIns[p].made {
		return nil, nil
	}
	stored, body := r.calledStandIn(p, s.tx.xa)
	if e := r.makeStandIn(&stored, r.standIns[p].name, body); e != nil {
		return e, nil
	}
	r.standIns[p].made = true
	return nil, nil
}

func (r *programRun) rightsOf(account string, foreign bool) (rights, error) {
	if known, ok := r.known[account]; ok {
		return known, nil
	}
	found, err := r.s.rightsOf(account, foreign)
	if err == nil {
		r.known[account] = found
	}
	return found, err
}

func (r *programRun) forgetStandIns() {
	for p, in := range r.standIns {
		if in.made {
			r.dropStandIn(p.Database, in.name)
		}
	}
}

// begun takes the hash of the first key of a procedure that has begun.
func (r *programRun) begun(hash string) error {
	if len(r.below) == 0 {
		r.hash = hash
		return nil
	}
	if err := r.inCall(); err != nil {
		return err
	}
	r.hash = hash
	return r.proceed(nil)
}

// inCall returns when the server was seen to execute the call that was allowed last, in which the program waits.
func (r *programRun) inCall() error {
	ctx, cancel := context.WithTimeout(r.s.server.ctx, proceedTimeout)
	defer cancel()
	beginning, key := r.callOf(r.p), "'"+r.below[len(r.below)-1].key+"'"
	for pause := time.Millisecond; ; pause *= 2 {
		text, err := r.steering.Executing(ctx)
		if err != nil {
			return fmt.Errorf("see what a program executes: %w", err)
		}
		if arguments, ok := strings.CutPrefix(text, beginning); ok && strings.Contains(arguments, key) {
			return nil
		}
		select { // the row that tells of it may have come before its statement was over
		case <-time.After(pause):
		case <-ctx.Done():
			return errProgram
		}
	}
}

// returned finds out which procedure has told a row. Those that it has called have ended, or have not begun.
func (r *programRun) returned(row []string) error {
	if len(r.below) == 0 || r.tells(row) {
		return nil
	}
	n := len(r.below) - 1
	for n >= 0 && !r.below[n].tells(row) {
		n--
	}
	if n < 0 {
		return errProgram
	}
	r.level, r.below = r.below[n], r.below[:n]
	ctx, cancel := context.WithTimeout(r.s.server.ctx, proceedTimeout)
	defer cancel()
	if err := r.steering.Return(ctx, n); err != nil {
		return fmt.Errorf("lead a procedure on behind another one: %w", err)
	}
	return nil
}

// stillSeen returns an error where schema changes between two transactions have let the program call, by itself, what the server must not execute
// unseen.
func (r *programRun) stillSeen() error {
	s := r.s
	changes := s.server.backend.SchemaChanges()
	if changes == r.schema {
		return nil
	}
	first := r.p
	if len(r.below) > 0 {
		first = r.below[0].p
	}
	found, why, err := s.server.unseenIn(first)
	if err != nil {
		return err
	}
	if found != nil {
		return s.final(refused("a procedure was ended behind a transaction that it has committed or rolled back, because it may call %s.%s, which was changed meanwhile: %s", found.database, found.name, why))
	}
	if !r.loses {
		if r.loses, err = s.server.mayLose(first.Body, first.dialect); err != nil {
			return err
		}
		if r.loses { // and the transaction that goes on now has its marker last
			return s.final(refused("a procedure was ended behind a transaction that it has committed or rolled back, because what it calls was changed meanwhile, so that it makes temporary tables or executes texts"))
		}
	}
	r.schema = changes
	return nil
}
