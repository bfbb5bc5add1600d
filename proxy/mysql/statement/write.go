package statement

// reasonSystem is for tables that have no transactions, so that their rows are not in the one that is replicated.
const reasonSystem = "the tables of the database mysql are each server's own: use CREATE USER, GRANT, SET PASSWORD and the like, " +
	"and load time zones into each server"

// dml classifies INSERT, REPLACE, UPDATE, DELETE and CALL.
func (p *parser) dml(verb string) Statement {
	if p.at("DELAYED") {
		return refuse(verb, "DELAYED is for engines without transactions")
	}
	if verb != "CALL" && p.changesSystem() {
		return refuse(verb, reasonSystem)
	}
	return Statement{Kind: Write, Verb: verb}
}

// changesSystem reports whether a table of the database mysql stands among those that INSERT, REPLACE, UPDATE or DELETE may
// change: before the columns, SET, VALUES, WHERE and queries.
func (p *parser) changesSystem() bool {
	for q := *p; !q.end() && !q.tok.punct('(') && !q.at("SET", "VALUES", "VALUE", "SELECT", "WITH", "TABLE", "WHERE", "ORDER", "LIMIT"); {
		named := q.tok
		if q.name() == "" {
			q.skip()
			continue
		}
		if q.tok.punct('.') && isSystem(named) {
			return true
		}
	}
	return false
}

func isSystem(name token) bool {
	return name.is("MYSQL") || name.kind == tokenQuoted && upper(unquote(name.text)) == "MYSQL"
}

// load classifies LOAD DATA and LOAD XML. Only a file that the client sends is the same for everybody.
func (p *parser) load(verb string) Statement {
	if !p.take("DATA") && !p.take("XML") {
		return refuse(verb, reasonServer) // LOAD INDEX INTO CACHE
	}
	if !p.take("LOW_PRIORITY") {
		p.take("CONCURRENT")
	}
	if !p.at("LOCAL") {
		return refuse(verb, reasonFile+"; use LOAD DATA LOCAL")
	}
	if q := *p; q.find("TABLE") {
		q.skip()
		named := q.tok
		if q.name(); q.tok.punct('.') && isSystem(named) {
			return refuse(verb, reasonSystem)
		}
	}
	return Statement{Kind: Write, Verb: verb, LocalFile: true}
}
