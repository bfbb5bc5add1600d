package statement

// alter classifies ALTER.
func (p *parser) alter(verb string) Statement {
	ignore := p.at("IGNORE") || p.has("ONLINE", "IGNORE")
	what := p.object()
	verb = join(verb, what)
	switch what {
	case "TABLE":
		s := p.alterTable(verb)
		s.Ignores = ignore && s.Kind == DDL
		s.Numbers = s.Numbers || s.Ignores
		return s
	case "VIEW", "EVENT":
		reason := p.besideTransaction()
		if reason == "" && what == "EVENT" {
			reason = p.scheduleRefusal()
		}
		if reason != "" {
			return refuse(verb, reason)
		}
		return Statement{Kind: DDL, Verb: verb, Definer: p.defines, WritesFile: p.writesFile()}
	case "SEQUENCE":
		p.take("IF", "EXISTS")
		return Statement{Kind: DDL, Verb: verb, Tables: []string{p.table()}}
	case "DATABASE", "SCHEMA", "PROCEDURE", "FUNCTION", "USER", "ROLE", "SERVER":
		return Statement{Kind: DDL, Verb: verb}
	case "INSTANCE", "TABLESPACE", "UNDO", "LOGFILE", "RESOURCE":
		return refuse(verb, reasonServer)
	}
	return refuse(verb, "Nexus does not know what it alters")
}

// alterTable classifies ALTER TABLE, of which it notes what would give the rows that are there already another value on every node.
func (p *parser) alterTable(verb string) Statement {
	engine, rewritten, reason := p.tableOptions()
	if reason == "" {
		reason = p.versionRefusal()
	}
	if reason != "" {
		return refuse(verb, reason)
	}
	for q := *p; !q.end(); q.skip() {
		if q.take("IMPORT", "TABLESPACE") || q.take("DISCARD", "TABLESPACE") {
			return refuse(verb, reasonTablespace)
		}
		if q.end() {
			break
		}
	}
	s := Statement{Kind: DDL, Verb: verb, Engine: engine, Rewritten: rewritten, Numbers: p.numbers(), Chance: p.chance()}
	p.take("IF", "EXISTS")
	s.Tables = []string{p.table()}
	return s
}

// AlteringTable returns an ALTER TABLE, which begins at inner in text, with another table in it.
func AlteringTable(text string, d Dialect, inner int, table string) string {
	p := newParser(text[inner:], d)
	p.skip()
	p.object()
	p.take("IF", "EXISTS")
	at := inner + p.tok.start
	return text[:at] + table + text[at+len(p.table()):]
}

// NamingView returns a CREATE VIEW or ALTER VIEW, which begins at inner in text, that makes a view of another name; "" if it names none.
func NamingView(text string, d Dialect, inner int, view string) string {
	p := newParser(text[inner:], d)
	verb := inner + p.tok.start
	behind := verb + len(p.tok.text)
	p.skip()
	p.take("OR", "REPLACE")
	p.object()
	p.take("IF", "NOT", "EXISTS")
	at := inner + p.tok.start
	named := p.table()
	if named == "" {
		return ""
	}
	return text[:verb] + "CREATE" + text[behind:at] + view + text[at+len(named):]
}

// chance returns what the rest of the statement mentions that answers differently on every server or at every call.
func (p *parser) chance() string {
	if name := p.calls(chanceFunctions...); name != "" {
		return name + "()"
	}
	var before token
	for q := *p; !q.end(); q.skip() {
		switch {
		case q.at("CURRENT_USER", "CURRENT_ROLE"):
			return upper(q.tok.text)
		case q.tok.kind == tokenSystem, q.tok.kind == tokenUser:
			return "value of the variable " + q.tok.text
		case q.at("NEXT") && q.has("NEXT", "VALUE", "FOR"), q.at("NEXTVAL") && before.punct('.') && q.lexer.dialect.Oracle:
			return "value of the sequence" // what is set aside for a server is its own
		}
		before = q.tok
	}
	return ""
}

// chanceFunctions answer differently on every server or at every call.
var chanceFunctions = []string{
	"UUID", "UUID_SHORT", "UUID_V4", "UUID_V7", "SYS_GUID", "RAND", "RANDOM_BYTES", "SYSDATE", "CONNECTION_ID", "VERSION", "NEXTVAL",
	"ENCRYPT", "USER", "SESSION_USER", "SYSTEM_USER", "LOAD_FILE",
}

// numbers reports whether a column becomes AUTO_INCREMENT, as opposed to the option of the table.
func (p *parser) numbers() bool {
	for q := *p; !q.end(); {
		if q.at("SERIAL") {
			return true
		}
		if !q.take("AUTO_INCREMENT") {
			q.skip()
			continue
		}
		if !q.tok.punct('=') && q.tok.kind != tokenNumber {
			return true
		}
	}
	return false
}
