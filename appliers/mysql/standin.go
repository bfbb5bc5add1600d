package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
const ownProcedures = "routine_type='PROCEDURE' AND routine_name REGEXP '^(" + EventProcedure + "|" + StandInProcedure + ")[0-9a-f]{16}$'"

// StandInProcedure begins the names of procedures that MakeStandIn has made.
const StandInProcedure = "nexus_call_"

const neverMakeUsers = "SET SESSION sql_mode='NO_AUTO_CREATE_USER'"

// MakeStandIn makes a procedure on this server that may be called by who may call p, acts with the same rights, and has another body. It
// returns its name. DropProcedure removes it.
func (b *Backend) MakeStandIn(ctx context.Context, p *Procedure, body string) (string, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return "", err
	}
	defer k.close()
	procedure := StandInProcedure + newSecret()
	if _, err := k.makeProcedure(ctx, p, procedure, body); err != nil {
		return "", err
	}
	if err := k.giveRights(ctx, p, procedure); err != nil {
		return "", errors.Join(err, k.run(ctx, dropProcedure(p.Database, procedure)...))
	}
	return procedure, nil
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
	if err := k.run(ctx, "SET NAMES utf8mb4", "USE "+name(p.Database),
		"SET SESSION collation_connection="+p.Collation+", sql_mode="+quote(p.Mode)); err != nil {
		return "", err
	}
	at := strings.LastIndexByte(p.Definer, '@')
	if at < 0 {
		return "", fmt.Errorf("the definer of a procedure is %q", p.Definer)
	}
	definer = name(p.Definer[:at])
	if host := p.Definer[at+1:]; host != "" { // or it is a role
		definer += "@" + name(host)
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

// dropOwnProcedures removes what an earlier process has left.
func (b *Backend) dropOwnProcedures(ctx context.Context) error {
	rows, err := b.conn.rows(ctx, "SELECT routine_schema, routine_name FROM information_schema.routines WHERE "+ownProcedures)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := b.conn.run(ctx, dropProcedure(row[0], row[1])...); err != nil {
			return err
		}
	}
	return nil
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
