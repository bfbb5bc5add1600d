package statement

// lock classifies LOCK TABLES.
func (p *parser) lock(verb string) Statement {
	if !p.take("TABLES") && !p.take("TABLE") {
		return refuse(verb, reasonServer) // LOCK INSTANCE FOR BACKUP
	}
	s := Statement{Kind: LockTables, Verb: verb + " TABLES"}
	for more := true; more; more = p.takePunct(',') {
		s.Tables = append(s.Tables, p.table())
		if p.take("AS"); !p.at("READ", "LOW_PRIORITY", "WRITE") {
			p.name()
		}
		p.take("LOW_PRIORITY")
		switch {
		case p.take("WRITE"):
			p.take("CONCURRENT")
			s.Writes = true
		case p.take("READ"):
			p.take("LOCAL")
		default:
			return refuse(s.Verb, "Nexus does not understand it")
		}
	}
	p.wait()
	if !p.end() {
		return refuse(s.Verb, "Nexus does not understand it")
	}
	return s
}

// wait takes WAIT n and NOWAIT.
func (p *parser) wait() {
	if p.take("WAIT") {
		p.skip()
		return
	}
	p.take("NOWAIT")
}

// flush classifies FLUSH. Of the cluster are PRIVILEGES and what locks; the rest is the server's own business, and must not
// get into its binary log.
func (p *parser) flush(verb string) Statement {
	if !p.take("LOCAL") {
		p.take("NO_WRITE_TO_BINLOG")
	}
	start := p.tok.start
	if p.take("PRIVILEGES") && p.end() {
		return Statement{Kind: DDL, Verb: verb + " PRIVILEGES"}
	}
	if p.take("STATUS") && p.end() {
		return Statement{Kind: Read, Verb: verb + " STATUS"}
	}
	s := Statement{Kind: Flush, Verb: verb, Rewritten: "FLUSH LOCAL " + p.lexer.text[start:]}
	if p.lexer.inside {
		return refuse(verb, "Nexus does not understand it")
	}
	if p.take("TABLES") || p.take("TABLE") {
		return p.flushTables(s)
	}
	for more := true; more; more = p.takePunct(',') {
		switch {
		case p.take("LOGS"), p.take("BINARY", "LOGS"), p.take("ERROR", "LOGS"), p.take("ENGINE", "LOGS"), p.take("GENERAL", "LOGS"), p.take("SLOW", "LOGS"):
		case p.take("HOSTS"), p.take("STATUS"), p.take("USER_RESOURCES"), p.take("QUERY", "CACHE"):
		case p.take("TABLE_STATISTICS"), p.take("INDEX_STATISTICS"), p.take("USER_STATISTICS"), p.take("CLIENT_STATISTICS"):
		default:
			return refuse(verb, reasonServer)
		}
	}
	if !p.end() {
		return refuse(verb, reasonServer)
	}
	return s
}

func (p *parser) flushTables(s Statement) Statement {
	s.Verb += " TABLES"
	if !p.end() && !p.at("WITH") {
		for more := true; more; more = p.takePunct(',') {
			s.Tables = append(s.Tables, p.table())
		}
	}
	switch {
	case p.end():
		// A table that somebody uses is waited for, and others wait meanwhile.
		s.Rewritten = "SET STATEMENT lock_wait_timeout=5 FOR " + s.Rewritten
		return s
	case p.take("WITH", "READ", "LOCK") && p.end():
		return Statement{Kind: LockTables, Verb: s.Verb, Tables: s.Tables, Everything: len(s.Tables) == 0}
	}
	return refuse(s.Verb, reasonServer) // FOR EXPORT, AND DISABLE CHECKPOINT
}
