package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Procedure is a procedure of this server, as CREATE has left it.
type Procedure struct {
	Database, Name string
	Definer        string // as CURRENT_USER() says
	Invoker        bool   // it acts with the rights of who calls it
	Mode           string // of SQL, that it was made with
	Collation      string // of the connection
	Body           string
	Parameters     []Parameter
}

// Parameter is one of a procedure.
type Parameter struct {
	Mode, Name string
	Declared   string // its type
}

// ownProcedures are those that a node has made for itself. They are of one server alone, and there for as long as an event or a
// procedure of a client's is executed.
const ownProcedures = "routine_type='PROCEDURE' AND routine_name REGEXP " + ownProcedureName

const ownProcedureName = "'^(" + EventProcedure + "|" + StandInProcedure + ")[0-9a-f]{16}$'"

var isOwnProcedure = regexp.MustCompile(strings.Trim(ownProcedureName, "'"))

// IsOwnProcedure reports whether a procedure of that name is one of these.
func IsOwnProcedure(name string) bool { return isOwnProcedure.MatchString(name) }

// StandInProcedure begins the names of procedures that MakeStandIn has made.
const StandInProcedure = "nexus_call_"

const neverMakeUsers = "SET SESSION sql_mode='NO_AUTO_CREATE_USER'"

// NewStandInName returns a name for what MakeStandIn makes.
func NewStandInName() string { return StandInProcedure + newSecret() }

// MakeStandIn makes a procedure on this server that may be called by who may call p, acts with the same rights, and has another name and body.
// DropProcedure removes it.
func (b *Backend) MakeStandIn(ctx context.Context, p *Procedure, procedure, body string) error {
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	if _, err = k.makeProcedure(ctx, p, procedure, body); err == nil {
		err = k.giveRights(ctx, p, procedure)
	}
	if err != nil {
		return errors.Join(err, b.takeBack(ctx, p.Database, procedure))
	}
	return nil
}

// giveRights lets those call a procedure who may call p by a right that is of p alone.
func (k *conn) giveRights(ctx context.Context, p *Procedure, procedure string) error {
	if err := k.run(ctx, "SET NAMES utf8mb4", neverMakeUsers); err != nil {
		return err
	}
	rows, err := k.rows(ctx, "SELECT host, user FROM mysql.procs_priv WHERE routine_type='PROCEDURE' AND FIND_IN_SET('Execute', proc_priv) AND db="+quote(p.Database)+" AND routine_name="+quote(p.Name))
	if err != nil {
		return err
	}
	for _, row := range rows {
		grantee := name(row[1]) + "@" + name(row[0])
		if row[0] == "" { // of a role, or of everybody
			grantee = name(row[1])
			if row[1] == "PUBLIC" {
				grantee = row[1]
			}
		}
		if err := k.run(ctx, "GRANT EXECUTE ON PROCEDURE "+name(p.Database)+"."+procedure+" TO "+grantee); err != nil {
			return err
		}
	}
	return nil
}

// makeProcedure makes a procedure with all that is said of p but its name and body, and returns the definer as a statement names it.
func (k *conn) makeProcedure(ctx context.Context, p *Procedure, procedure, body string) (definer string, err error) {
	if err := k.run(ctx, patient, "SET NAMES utf8mb4", "USE "+name(p.Database),
		"SET SESSION collation_connection="+p.Collation+", sql_mode="+quote(p.Mode)); err != nil {
		return "", err
	}
	definer = name(p.Definer) // a role
	if at := strings.LastIndexByte(p.Definer, '@'); at >= 0 {
		definer = name(p.Definer[:at]) + "@" + name(p.Definer[at+1:])
	}
	parameters := make([]string, 0, len(p.Parameters))
	for _, parameter := range p.Parameters {
		parameters = append(parameters, parameter.Mode+" "+name(parameter.Name)+" "+parameter.Declared)
	}
	security := "DEFINER"
	if p.Invoker {
		security = "INVOKER"
	}
	text := fmt.Sprintf("CREATE DEFINER=%s PROCEDURE %s(%s) SQL SECURITY %s %s", definer, procedure, strings.Join(parameters, ", "), security, body)
	_, err = k.execNamed(ctx, text, "make a procedure of this node's own")
	return definer, err
}

// dropProcedure drops a procedure and the right to call it, which the server does by itself only if it is told to.
func dropProcedure(database, procedure string) []string {
	return []string{"DROP PROCEDURE IF EXISTS " + name(database) + "." + name(procedure),
		"DELETE FROM mysql.procs_priv WHERE Db=" + quote(database) + " AND Routine_name=" + quote(procedure)}
}

// patient is less than what who makes or drops a procedure waits for, so that the server does nothing more when nobody waits.
const patient = "SET SESSION lock_wait_timeout=5"

// takeBackTimeout bounds the removal of a procedure of which it is not known whether it was made.
const takeBackTimeout = 10 * time.Second

func (b *Backend) takeBack(ctx context.Context, database, procedure string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTimeout)
	defer cancel()
	return b.DropProcedure(ctx, database, procedure)
}

// DropProcedure removes a procedure that MakeProcedure or MakeStandIn has made. One that it cannot remove goes with another one, or when the
// server is reached again.
func (b *Backend) DropProcedure(ctx context.Context, database, procedure string) error {
	b.left.add(leftProcedure{database, procedure})
	return b.dropLeft(ctx)
}

// dropLeft removes what is to be removed, the last one first.
func (b *Backend) dropLeft(ctx context.Context) error {
	left := b.left.take()
	if len(left) == 0 {
		return nil
	}
	k, err := b.connect(ctx)
	if err != nil {
		b.left.add(left...)
		return err
	}
	defer k.close()
	err = k.run(ctx, patient, "SET NAMES utf8mb4")
	for err == nil && len(left) > 0 {
		p := left[len(left)-1]
		if err = k.run(ctx, dropProcedure(p.database, p.procedure)...); err == nil {
			left = left[:len(left)-1]
		}
	}
	b.left.add(left...)
	return err
}

// leftProcedures are to be dropped.
type leftProcedures struct {
	mu   sync.Mutex
	list []leftProcedure
}

type leftProcedure struct{ database, procedure string }

func (l *leftProcedures) add(more ...leftProcedure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, more...)
}

func (l *leftProcedures) take() []leftProcedure {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// dropLeftovers removes what an earlier process has left.
func (b *Backend) dropLeftovers(ctx context.Context) error {
	k, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer k.close()
	if err := k.run(ctx, "SET NAMES utf8mb4"); err != nil {
		return err
	}
	rows, err := k.rows(ctx, "SELECT routine_schema, routine_name FROM information_schema.routines WHERE "+ownProcedures)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := k.run(ctx, dropProcedure(row[0], row[1])...); err != nil {
			return err
		}
	}
	b.left.take()
	if err := k.dropTried(ctx); err != nil {
		return err
	}
	return k.run(ctx, "DELETE FROM mysql.procs_priv WHERE Routine_name REGEXP "+ownProcedureName)
}

// Row returns what a question of the node's own selects, in utf8mb4; nil where there is no row.
func (b *Backend) Row(ctx context.Context, question string) ([]string, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer k.close()
	if err := k.run(ctx, "SET NAMES utf8mb4"); err != nil {
		return nil, err
	}
	return k.row(ctx, question)
}
