package statement

// query classifies SELECT, VALUES and TABLE.
func (p *parser) query(verb string) Statement {
	s := Statement{Kind: Read, Verb: verb}
	if p.calls("NEXTVAL", "SETVAL") != "" || p.has("NEXT", "VALUE", "FOR") {
		s.Kind = Write // a value that was told must not come again after a change of leader
	}
	for q := *p; !q.end(); q.skip() {
		switch {
		case q.take("INTO", "OUTFILE"), q.take("INTO", "DUMPFILE"):
			s.WritesFile = true
		case q.take("FOR", "UPDATE"), q.take("FOR", "SHARE"), q.take("LOCK", "IN", "SHARE", "MODE"):
			s.Kind = max(s.Kind, LockingRead)
		}
		if q.end() {
			break
		}
	}
	return s
}

// with classifies what follows common table expressions.
func (p *parser) with(verb string) Statement {
	all := *p
	if !p.find("SELECT", "VALUES", "TABLE", "UPDATE", "DELETE", "INSERT", "REPLACE") {
		// WITH a AS (...) (SELECT ...)
		return Statement{Kind: Read, Verb: verb, WritesFile: all.writesFile()}
	}
	return p.classify()
}

// writesFile reports whether a statement of the rest, which may be a program, writes a file of the server.
func (p *parser) writesFile() bool {
	for q := *p; q.tok.kind != tokenEnd && q.tok.kind != tokenBad; q.skip() {
		if file := q; file.take("INTO") && file.at("OUTFILE", "DUMPFILE") {
			return true
		}
	}
	return false
}

func (p *parser) show(verb string) Statement {
	if p.at("WARNINGS", "ERRORS") || p.at("COUNT") && (p.has("WARNINGS") || p.has("ERRORS")) {
		return Statement{Kind: Diagnostics, Verb: verb}
	}
	return Statement{Kind: Read, Verb: verb}
}

// explain classifies EXPLAIN, DESCRIBE and DESC, which execute nothing, but for EXPLAIN ANALYZE.
func (p *parser) explain(verb string) Statement {
	if p.at("ANALYZE") {
		p.skip()
		return p.executed(verb)
	}
	return Statement{Kind: Read, Verb: verb}
}

// analyze classifies ANALYZE TABLE, and MariaDB's ANALYZE, which executes the statement behind it.
func (p *parser) analyze(verb string) Statement {
	if p.at("TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG") {
		return p.maintain(verb)
	}
	return p.executed(verb)
}

// executed classifies by the statement that is executed to be explained.
func (p *parser) executed(verb string) Statement {
	if p.take("FORMAT") {
		p.takePunct('=')
		p.skip()
	}
	if !p.at("SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE") && !p.tok.punct('(') {
		return refuse(verb, "Nexus does not know the statement behind it")
	}
	for p.takePunct('(') {
	}
	s := p.classify()
	if s.Kind != Refused {
		s.Verb = verb
	}
	return s
}
