package statement

// reasonSystem is for tables that have no transactions, so that their rows are not in the one that is replicated.
const reasonSystem = "the tables of the database mysql are each server's own: use CREATE USER, GRANT, SET PASSWORD and the like, " +
	"and load time zones into each server"

// dml classifies INSERT, REPLACE, UPDATE, DELETE and CALL.
func (p *parser) dml(verb string) Statement {
	if verb != "CALL" && p.changesSystem(verb) {
		return refuse(verb, reasonSystem)
	}
	s := Statement{Kind: Write, Verb: verb, Calls: verb == "CALL"}
	if p.at("DELAYED") && (verb == "INSERT" || verb == "REPLACE") { // for engines without transactions, which tables here do not have
		s.Rewritten = p.lexer.text[:p.tok.start] + p.lexer.text[p.tok.end:]
	}
	if verb == "INSERT" || verb == "REPLACE" {
		s.Into = p.into()
	}
	return s
}

// changesSystem reports whether a table of the database mysql stands among those that INSERT, REPLACE, UPDATE or DELETE, of which the
// verb was taken, may change.
func (p *parser) changesSystem(verb string) bool {
	q := *p
	if verb == "INSERT" || verb == "REPLACE" {
		return q.insertsIntoSystem()
	}
	// Tables stand before SET or WHERE, also in parentheses and in the conditions of joins. A query in parentheses is read only.
	var before token
	for depth := 0; !q.end(); {
		t := q.tok
		q.skip()
		switch {
		case t.punct('('):
			if q.startsQuery() {
				q.skipQuery()
			} else {
				depth++
			}
		case t.punct(')'):
			depth--
		case depth == 0 && !before.punct('.') && (verb == "UPDATE" && t.is("SET") || verb == "DELETE" && (t.is("WHERE") || t.is("ORDER") || t.is("LIMIT") || t.is("RETURNING"))):
			return false
		case isSystem(t) && q.tok.punct('.') && !before.punct('.'):
			return true
		}
		before = t
	}
	return false
}

// insertsIntoSystem looks at the table that stands before the columns, SET, VALUES and queries.
func (p *parser) insertsIntoSystem() bool {
	for p.take("LOW_PRIORITY") || p.take("HIGH_PRIORITY") || p.take("DELAYED") || p.take("IGNORE") || p.take("INTO") {
	}
	named := p.tok
	p.name()
	return isSystem(named) && p.tok.punct('.')
}

// into returns the table of INSERT and REPLACE, with its database if that is said.
func (p *parser) into() (table [2]string) {
	for p.take("LOW_PRIORITY") || p.take("HIGH_PRIORITY") || p.take("DELAYED") || p.take("IGNORE") || p.take("INTO") {
	}
	table[0], table[1] = p.named()
	return table
}

// startsQuery reports whether a query begins here, behind a parenthesis.
func (p *parser) startsQuery() bool {
	q := *p
	for q.takePunct('(') {
	}
	return q.at("SELECT", "WITH", "VALUES", "TABLE")
}

// skipQuery goes on behind the parenthesis that closes the one before.
func (p *parser) skipQuery() {
	for depth := 1; depth > 0 && !p.end(); p.skip() {
		switch {
		case p.tok.punct('('):
			depth++
		case p.tok.punct(')'):
			depth--
		}
	}
}

func isSystem(name token) bool {
	return name.is("MYSQL") || name.kind == tokenQuoted && upper(unquote(name.text)) == "MYSQL"
}

// load classifies LOAD DATA and LOAD XML. A file that the client does not send is one of the leader's server; what is in the log
// are its rows.
func (p *parser) load(verb string) Statement {
	if !p.take("DATA") && !p.take("XML") {
		return refuse(verb, reasonServer) // LOAD INDEX INTO CACHE
	}
	if !p.take("LOW_PRIORITY") {
		p.take("CONCURRENT")
	}
	local := p.at("LOCAL")
	s := Statement{Kind: Write, Verb: verb, LocalFile: local}
	if q := *p; q.find("TABLE") {
		q.skip()
		named := q.tok
		if s.Into[0], s.Into[1] = q.named(); s.Into[0] != "" && isSystem(named) {
			return refuse(verb, reasonSystem)
		}
	}
	return s
}
