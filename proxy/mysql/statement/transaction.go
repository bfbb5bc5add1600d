package statement

import "strconv"

func (p *parser) begin(verb string) Statement {
	if p.at("NOT") || p.lexer.dialect.Oracle {
		return p.compound(verb)
	}
	p.take("WORK")
	if !p.end() {
		return refuse(verb, "Nexus does not know what follows BEGIN")
	}
	return Statement{Kind: Begin, Verb: verb}
}

// start classifies START TRANSACTION, and refuses what else begins with START.
func (p *parser) start(verb string) Statement {
	if !p.take("TRANSACTION") {
		return refuse(verb, reasonReplication)
	}
	s := Statement{Kind: Begin, Verb: verb}
	only, write := false, false
	for !p.end() {
		switch {
		case p.take("WITH", "CONSISTENT", "SNAPSHOT"):
			s.Snapshot = true
		case p.take("READ", "ONLY"):
			s.Access, only = ReadOnly, true
		case p.take("READ", "WRITE"):
			s.Access, write = ReadWrite, true
		case p.takePunct(','):
		default:
			return refuse(verb, "Nexus does not know what follows START TRANSACTION")
		}
	}
	if only && write {
		return p.malformed(verb, "a transaction is READ ONLY or READ WRITE")
	}
	return s
}

func (p *parser) commit(verb string) Statement {
	s := Statement{Kind: Commit, Verb: verb}
	p.take("WORK")
	return p.completion(s)
}

func (p *parser) rollback(verb string) Statement {
	s := Statement{Kind: Rollback, Verb: verb}
	p.take("WORK")
	if p.take("TO") {
		s.Kind = Savepoint
		return s
	}
	return p.completion(s)
}

// completion takes [AND [NO] CHAIN] [[NO] RELEASE].
func (p *parser) completion(s Statement) Statement {
	switch {
	case p.take("AND", "NO", "CHAIN"):
	case p.take("AND", "CHAIN"):
		s.Chain = true
		if p.at("RELEASE") {
			return p.malformed(s.Verb, "a connection that is released has no next transaction")
		}
	}
	switch {
	case p.take("NO", "RELEASE"):
	case p.take("RELEASE"):
		s.Release = true
	}
	if !p.end() {
		return refuse(s.Verb, "Nexus does not know what follows "+s.Verb)
	}
	return s
}

// setTransaction classifies SET [scope] TRANSACTION, of which the word TRANSACTION is next.
func (p *parser) setTransaction(session bool) Statement {
	p.skip()
	s := Statement{Kind: SetTransaction, Verb: "SET TRANSACTION", Session: session}
	for !p.end() {
		switch {
		case p.take("READ", "ONLY"):
			s.Access = ReadOnly
		case p.take("READ", "WRITE"):
			s.Access = ReadWrite
		case p.take("ISOLATION", "LEVEL", "READ", "UNCOMMITTED"):
			s.Isolation = "READ UNCOMMITTED"
		case p.take("ISOLATION", "LEVEL", "READ", "COMMITTED"):
			s.Isolation = "READ COMMITTED"
		case p.take("ISOLATION", "LEVEL", "REPEATABLE", "READ"):
			s.Isolation = "REPEATABLE READ"
		case p.take("ISOLATION", "LEVEL", "SERIALIZABLE"):
			s.Isolation = "SERIALIZABLE"
		case p.takePunct(','):
		default:
			return refuse(s.Verb, "Nexus does not know what follows SET TRANSACTION")
		}
	}
	return s
}

func (p *parser) unlock(verb string) Statement {
	if !p.at("TABLES", "TABLE") {
		return refuse(verb, reasonServer)
	}
	return Statement{Kind: Unlock, Verb: verb}
}

// kill classifies KILL [HARD|SOFT] [CONNECTION|QUERY [ID]] id, and KILL USER.
func (p *parser) kill(verb string) Statement {
	if !p.take("HARD") {
		p.take("SOFT")
	}
	s := Statement{Kind: Kill, Verb: verb}
	if !p.take("CONNECTION") {
		s.QueryOnly = p.take("QUERY")
	}
	if p.at("USER", "ID") {
		return s // the server knows which
	}
	s.Behind = p.tok.start
	text := p.rest()
	if id, err := strconv.ParseUint(text, 10, 64); err == nil {
		s.Target = id
		return s
	}
	if s.Expression = text; text == "" {
		return refuse(verb, "it names no connection")
	}
	return s
}
