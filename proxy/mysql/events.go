package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
)

// Events are executed by the leader, in sessions of the node's own account that go through the log like a client's: in one
// transaction with a row of nexus.event_run that says which due time it was. Whoever leads next finds the row, or neither.

const (
	// eventPause is how often it is looked for events that are due. They are due at whole seconds.
	eventPause = 500 * time.Millisecond
	// eventTimeout bounds looking for them, and what is done for one on the server beside its transaction.
	eventTimeout = 10 * time.Second
	// maxEvents are executed at a time.
	maxEvents = 8
)

// eventTable is replicated like any table of clients'.
const eventTable = "CREATE TABLE IF NOT EXISTS nexus.event_run (db VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci," +
	" due DATETIME NOT NULL, modified DATETIME NOT NULL, PRIMARY KEY (db, name)) ENGINE=InnoDB"

// eventName tells events apart.
type eventName struct{ database, name string }

// watchEvents executes events that are due, while this node leads.
func (s *Server) watchEvents() {
	tick := time.NewTicker(eventPause)
	defer tick.Stop()
	running, done := make(map[eventName]bool), make(chan eventName, maxEvents)
	none, asOf := false, uint64(0) // there were no events after so many schema changes
	for {
		select {
		case name := <-done:
			delete(running, name)
			continue
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		changes := s.backend.SchemaChanges()
		if _, leads := s.node.Office(); !leads || none && changes == asOf {
			none = none && leads
			continue
		}
		due, enabled, err := s.dueEvents()
		if err != nil {
			s.cfg.Logger.Warn("events cannot be looked for", "err", err)
			continue
		}
		none, asOf = enabled == 0, changes
		for i := range due {
			name := eventName{due[i].Database, due[i].Name}
			if running[name] || len(running) >= maxEvents {
				continue
			}
			running[name] = true
			s.tasks.Go(func() {
				s.executeEvent(&due[i])
				done <- name // as many as may run have their place
			})
		}
	}
}

func (s *Server) dueEvents() ([]appliers.Event, int, error) {
	ctx, cancel := context.WithTimeout(s.ctx, eventTimeout)
	defer cancel()
	return s.backend.Events(ctx)
}

// executeEvent executes an event where that was not done yet, and ends it where it is over.
func (s *Server) executeEvent(e *appliers.Event) {
	r := &eventRun{s: s, e: e}
	err := r.execute()
	var login *loginError
	if errors.As(err, &login) && s.eventsBarred.Swap(true) {
		return // that was said already
	}
	if err != nil && s.ctx.Err() == nil {
		s.cfg.Logger.Warn("an event could not be executed", "event", e.Database+"."+e.Name, "due", e.Due, "err", err)
	}
}

// eventRun is one event and the session in which it is executed.
type eventRun struct {
	*ownSession
	s *Server
	e *appliers.Event
	// cut is set when the connection was ended under the event, which did not end for less.
	cut bool
}

// login begins the session in which the event is executed.
func (r *eventRun) login() error {
	own, err := r.s.loginOwn()
	if err != nil {
		return err
	}
	r.ownSession = own
	r.s.eventsBarred.Store(false)
	return nil
}

func (r *eventRun) execute() error {
	if err := r.login(); err != nil {
		return err
	}
	defer func() { r.close() }() // of the session that is the last
	if r.e.Due != "" {
		if err := r.once(); err != nil {
			return err
		}
	}
	if r.e.Over {
		return r.end()
	}
	return nil
}

// once executes the event, unless the log says that this was done.
func (r *eventRun) once() error {
	if err := r.known(); err != nil {
		return err
	}
	if err := r.say("BEGIN"); err != nil {
		return err
	}
	recorded, err := r.recorded()
	if err != nil || recorded {
		return errors.Join(err, r.say("ROLLBACK"))
	}
	if err := r.record(); err != nil {
		return err
	}
	failed, err := r.call()
	if err != nil {
		return errors.Join(err, r.say("ROLLBACK")) // it is looked again, soon
	}
	if failed == nil {
		err = r.say("COMMIT") // and after an error here
		if err == nil {
			r.s.stats.events.Add(1)
		}
		if err == nil || !isDenied(err) {
			return err
		}
		failed = err // it wrote what is Nexus's own, and would again
	}
	// It is not tried again, as on a plain server.
	r.s.stats.eventsFailed.Add(1)
	if r.cut {
		r.close()
		if err := r.login(); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, r.say("ROLLBACK"), r.record())
}

// isDenied reports whether a transaction was rolled back for what it wrote.
func isDenied(err error) bool {
	var server *gomysql.MyError
	return errors.As(err, &server) && server.Code == codeDenied
}

// known makes a row of the event, if it has none: what locks a row by its key locks nothing beside it, where there is one.
func (r *eventRun) known() error {
	row := fmt.Sprintf("SELECT 1 FROM nexus.event_run WHERE db=%s AND name=%s", literal(r.e.Database), literal(r.e.Name))
	result, err := r.c.Execute(row)
	var server *gomysql.MyError
	if errors.As(err, &server) && server.Code == 1146 {
		err = r.say(eventTable)
	} else if err == nil && result.RowNumber() > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return r.say(fmt.Sprintf("INSERT IGNORE INTO nexus.event_run VALUES (%s, %s, '1000-01-01', '1000-01-01')", literal(r.e.Database), literal(r.e.Name)))
}

// recorded reports whether the event was executed for this due time already.
func (r *eventRun) recorded() (bool, error) {
	result, err := r.c.Execute(fmt.Sprintf("SELECT (due, modified)>=(%s, %s) FROM nexus.event_run WHERE db=%s AND name=%s FOR UPDATE",
		literal(r.e.Due), literal(r.e.Modified), literal(r.e.Database), literal(r.e.Name)))
	if err != nil {
		return false, err
	}
	if result.RowNumber() == 0 {
		return false, errors.New("its row in nexus.event_run is gone")
	}
	is, err := result.GetInt(0, 0)
	return is != 0, err
}

func (r *eventRun) record() error {
	return r.say(fmt.Sprintf("UPDATE nexus.event_run SET due=%s, modified=%s WHERE db=%s AND name=%s", literal(r.e.Due), literal(r.e.Modified), literal(r.e.Database), literal(r.e.Name)))
}

// call does what the event does, with the rights of its definer. What failed is the event's own fault; err is the machine's.
func (r *eventRun) call() (failed, err error) {
	ctx, cancel := context.WithTimeout(r.s.ctx, eventTimeout)
	defer cancel()
	procedure, err := r.s.backend.MakeProcedure(ctx, r.e)
	if err != nil {
		return whose(err)
	}
	failed = r.callProcedure(procedure)
	ctx, cancel = context.WithTimeout(r.s.ctx, eventTimeout)
	defer cancel()
	left, err := whose(r.s.backend.DropProcedure(ctx, r.e.Database, procedure))
	return errors.Join(failed, left), err
}

// whose tells an error of the node's own connection that is the event's fault from one that is the machine's.
func whose(err error) (failed, machine error) {
	if err == nil || !appliers.IsMachineError(err) {
		return err, nil
	}
	return nil, err
}

func (r *eventRun) callProcedure(procedure string) error {
	if err := r.say("SET SESSION time_zone="+literal(r.e.TimeZone), "USE "+quoteName(r.e.Database)); err != nil {
		return err
	}
	defer r.interruptLate()()
	var failed error
	_, err := r.c.ExecuteMultiple("CALL "+procedure+"()", func(_ *gomysql.Result, err error) {
		failed = errors.Join(failed, err)
	})
	return errors.Join(err, failed)
}

// interruptions are how many are tried before the connection is ended: a loop around SLEEP() takes them for that alone.
const interruptions = 4

// interruptLate ends what is being executed when it takes too long. The function that it returns takes that back.
func (r *eventRun) interruptLate() (stop func()) {
	ctx, cancel := context.WithTimeout(r.s.ctx, r.s.cfg.EventTimeout)
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		for n := 0; late; n++ {
			r.cut = n >= interruptions
			if err := r.interrupt(); err != nil {
				r.s.cfg.Logger.Warn("an event takes too long and could not be ended", "event", r.e.Database+"."+r.e.Name, "err", err)
			}
			select {
			case <-time.After(eventPause):
			case <-over:
				return
			}
		}
	}()
	return func() {
		cancel()
		close(over)
		<-done
	}
}

func (r *eventRun) interrupt() error {
	ctx, cancel := context.WithTimeout(r.s.ctx, eventTimeout)
	defer cancel()
	connection := []uint64{uint64(r.c.GetConnectionID())}
	if r.cut {
		return r.s.backend.Disconnect(ctx, connection)
	}
	return r.s.backend.Interrupt(ctx, connection)
}

// end drops or disables an event that will not be due again.
func (r *eventRun) end() error {
	name := quotedIn(r.e.Database, r.e.Name)
	if !r.e.Preserve {
		return r.say("DROP EVENT IF EXISTS " + name)
	}
	user, host := splitAccount(r.e.Definer)
	return r.say("ALTER DEFINER=" + quoteName(user) + "@" + quoteName(host) + " EVENT " + name + " DISABLE")
}
