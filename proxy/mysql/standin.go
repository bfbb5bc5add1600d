package mysql

import (
	"context"
	"errors"
	"strings"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// command returns the one by which the server executes a procedure: a block, or a CALL of a stand-in, which forget removes.
func (r *programRun) command(c call, p *procedure, e *entry) (payload []byte, forget func(), err error) {
	s := r.s
	if !e.standsIn() {
		return queryPayload(r.text(p, e.arguments, s.tx.xa)), func() {}, nil
	}
	name := appliers.NewStandInName()
	if e := r.makeStandIn(&p.Procedure, name, r.standIn(p, s.tx.xa)); e != nil {
		return nil, nil, e
	}
	drop := func() { r.dropStandIn(p.Database, name) }
	if c.prepared == nil {
		return queryPayload(e.said.Renamed(c.text, name)), drop, nil
	}
	said := name
	if e.said.Database == "" { // it was prepared with another default database, maybe
		said = quoteName(p.Database) + "." + name
	}
	return r.prepareCall(c, e.said.Renamed(c.text, said), drop)
}

// makeStandIn makes a procedure that whoever may call p may call.
func (r *programRun) makeStandIn(p *appliers.Procedure, name, body string) *wire.Error {
	s := r.s
	ctx, cancel := s.context(standInTimeout)
	defer cancel()
	if err := s.server.backend.MakeStandIn(ctx, p, name, body); err != nil {
		// The server's words may tell what stands in the body.
		s.server.cfg.Logger.Warn("a procedure cannot be executed", "procedure", p.Database+"."+p.Name, "err", err)
		return refused("CALL is refused: the node cannot make a procedure that does what this one does; its log says why")
	}
	r.renamed = append(r.renamed, name, p.Name)
	return nil
}

func (r *programRun) dropStandIn(database, name string) {
	ctx, cancel := context.WithTimeout(r.s.server.ctx, standInTimeout)
	defer cancel()
	if err := r.s.server.backend.DropProcedure(ctx, database, name); err != nil {
		r.s.server.cfg.Logger.Warn("a procedure of this node's own is left", "procedure", database+"."+name, "err", err)
	}
}

func queryPayload(text string) []byte { return append([]byte{wire.ComQuery}, text...) }

// prepareCall lets the server prepare a CALL for this once, and returns the command that executes it with the parameters of c.
func (r *programRun) prepareCall(c call, text string, drop func()) (payload []byte, forget func(), err error) {
	s := r.s
	id, err := s.prepareOnce(text)
	if err != nil {
		drop()
	}
	var server *wire.Error
	if errors.As(err, &server) {
		server.Message = strings.NewReplacer(r.renamed...).Replace(server.Message)
		return nil, nil, server
	}
	if err != nil {
		return nil, nil, errors.Join(err, errHangUp)
	}
	forget = func() {
		drop()
		if err := s.send(append([]byte{wire.ComStmtClose}, id...)); err != nil { // there is no response
			s.server.cfg.Logger.Debug("close a statement", "err", err)
		}
	}
	payload, ok := c.prepared.asOther(c.payload, id)
	if !ok {
		forget()
		return nil, nil, refused("CALL is refused: its parameters have come without their types")
	}
	r.binary = true
	return payload, forget, nil
}

// standInTimeout bounds the making of a stand-in, and its removal.
const standInTimeout = 10 * time.Second
