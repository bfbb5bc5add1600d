package statement

import "strings"

// create classifies CREATE. What it creates decides.
func (p *parser) create(verb string) Statement {
	replace := p.take("OR", "REPLACE")
	what := p.object()
	verb = join(verb, what)
	switch what {
	case "TABLE":
		return p.createTable(verb, replace)
	case "TEMPORARY TABLE", "TEMPORARY SEQUENCE": // of any engine: its rows are never replicated
		return Statement{Kind: Temporary, Verb: verb}
	case "FUNCTION":
		if p.has("SONAME") {
			return refuse(verb, reasonPlugin)
		}
	case "SEQUENCE":
		engine, _, reason := p.tableOptions()
		if reason != "" {
			return refuse(verb, reason)
		}
		return Statement{Kind: DDL, Verb: verb, Engine: engine}
	case "EVENT":
		if reason := p.scheduleRefusal(); reason != "" {
			return refuse(verb, reason)
		}
	case "PROCEDURE", "TRIGGER", "PACKAGE":
	case "ROLE":
		return p.createRole(verb)
	case "VIEW":
		return Statement{Kind: DDL, Verb: verb, Definer: p.defines}
	case "INDEX":
		return p.onTable(verb)
	case "DATABASE", "SCHEMA", "USER", "SERVER":
		return Statement{Kind: DDL, Verb: verb}
	case "TABLESPACE", "UNDO", "LOGFILE", "RESOURCE", "SPATIAL REFERENCE":
		return refuse(verb, reasonServer)
	default:
		return refuse(verb, "Nexus does not know what it creates")
	}
	if reason := p.besideTransaction(); reason != "" {
		return refuse(verb, reason)
	}
	return Statement{Kind: DDL, Verb: verb, Definer: p.defines, WritesFile: p.writesFile()}
}

// scheduleRefusal says why an event would not have the same schedule on all servers.
func (p *parser) scheduleRefusal() string {
	schedule, body := *p, *p
	if body.find("DO") {
		schedule.lexer.text = schedule.lexer.text[:body.tok.start]
	}
	if name := schedule.chance(); name != "" {
		return "its schedule would be by another " + name + " on every node; write the times into the text"
	}
	return ""
}

// versionRefusal says why a table with a history cannot be the same on all servers.
func (p *parser) versionRefusal() string {
	if p.has("PARTITION", "BY", "SYSTEM_TIME") && p.has("AUTO") {
		return "each server would add partitions by itself, and end the transaction; add them by ALTER TABLE"
	}
	for q := *p; !q.end(); q.skip() {
		column := q
		if !column.take("BIGINT") {
			continue
		}
		for column.take("UNSIGNED") || column.take("GENERATED", "ALWAYS") {
		}
		if column.take("AS", "ROW") && column.at("START", "END") {
			return "numbers of transactions are each server's own; let ROW START and ROW END be TIMESTAMP(6)"
		}
	}
	return ""
}

// reasonCrash is for a default that MariaDB ends with when a query fills the table (10.11.14).
const reasonCrash = "a default that is a sequence's makes the server crash when a query fills the table; create the table, then INSERT ... SELECT"

func (p *parser) createTable(verb string, replace bool) Statement {
	engine, rewritten, reason := p.tableOptions()
	if reason == "" {
		reason = p.versionRefusal()
	}
	if reason != "" {
		return refuse(verb, reason)
	}
	s := Statement{Kind: DDL, Verb: verb}
	if found, filling := p.selects(); found {
		s = p.createSelect(verb, replace)
		if f := s.Filling; f != nil {
			f.Head, f.Query, f.Duplicates = filling.Head, filling.Query, filling.Duplicates
			if head := newParser(p.lexer.text[f.Rest:f.Head], p.lexer.dialect); head.calls("NEXTVAL") != "" || head.has("NEXT", "VALUE", "FOR") {
				return refuse(verb, reasonCrash)
			}
		}
	} else {
		s.Name = p.newTable()
	}
	s.Engine, s.Rewritten = engine, rewritten
	return s
}

// newTable returns the name of the table that is created, without its database.
func (p *parser) newTable() string {
	q := *p
	q.take("IF", "NOT", "EXISTS")
	name := q.name()
	if q.takePunct('.') {
		name = q.name()
	}
	return name
}

// createSelect classifies CREATE TABLE ... SELECT, of which the name is next, or IF NOT EXISTS before it.
func (p *parser) createSelect(verb string, replace bool) Statement {
	f := &Filling{Replace: replace, IfNotExists: p.take("IF", "NOT", "EXISTS")}
	f.Rest = p.tok.end
	f.Table = p.name()
	if p.tok.punct('.') {
		p.skip()
		f.Rest = p.tok.end
		f.Database, f.Table = f.Table, p.name()
	}
	if f.Table == "" || p.lexer.inside {
		return refuse(verb, "Nexus does not understand the name of the table")
	}
	return Statement{Kind: CreateSelect, Verb: verb, Filling: f}
}

// selects reports whether a table is filled by a query: SELECT, WITH, VALUES or TABLE after the columns and options. Of f it tells where that is.
func (p *parser) selects() (found bool, f Filling) {
	q := *p
	var before token
	for depth := 0; !q.end(); q.skip() {
		t := q.tok
		switch {
		case q.tok.punct('('):
			depth++
			if next := q; depth == 1 {
				for next.takePunct('(') {
				}
				found = next.at("SELECT", "WITH", "VALUES", "TABLE")
			}
		case q.tok.punct(')'):
			depth--
		case depth == 0 && q.take("WITH"):
			found = !q.at("SYSTEM", "VALIDATION", "PARSER") // of a table that is versioned, a partition, an index
		case depth == 0 && q.at("SELECT", "VALUES"):
			found = true
		case depth == 0 && q.take("AS"):
			found = q.at("SELECT", "WITH", "TABLE", "VALUES") || q.tok.punct('(')
		}
		if found {
			f.Head, f.Query = t.start, t.start
			if t.is("AS") {
				f.Query = q.tok.start
			}
			if before.is("IGNORE") || before.is("REPLACE") {
				f.Head, f.Duplicates = before.start, upper(before.text)
			}
			return true, f
		}
		if q.end() {
			break
		}
		before = t
	}
	return false, f
}

// drop classifies DROP.
func (p *parser) drop(verb string) Statement {
	start := p.tok.start
	what := p.object()
	verb = join(verb, what)
	switch what {
	case "PREPARE":
		return Statement{Kind: Deallocate, Verb: verb, Name: p.name()}
	case "TEMPORARY TABLE", "TEMPORARY TABLES", "TEMPORARY SEQUENCE":
		return Statement{Kind: Temporary, Verb: verb}
	case "TABLE", "TABLES", "SEQUENCE":
		return p.dropTables(verb, start)
	case "INDEX":
		return p.onTable(verb)
	case "FUNCTION":
		p.take("IF", "EXISTS")
		return Statement{Kind: DDL, Verb: verb, Name: p.table()}
	case "DATABASE", "SCHEMA":
		p.take("IF", "EXISTS")
		return Statement{Kind: DDL, Verb: verb, Name: p.name()}
	case "VIEW", "PROCEDURE", "TRIGGER", "EVENT", "PACKAGE", "USER", "ROLE", "SERVER":
		return Statement{Kind: DDL, Verb: verb}
	case "TABLESPACE", "UNDO", "LOGFILE", "RESOURCE", "SPATIAL REFERENCE":
		return refuse(verb, reasonServer)
	}
	return refuse(verb, "Nexus does not know what it drops")
}

// dropTables classifies DROP TABLE, of which what follows DROP begins at start.
func (p *parser) dropTables(verb string, start int) Statement {
	s := Statement{Kind: DDL, Verb: verb, Behind: start, IfExists: p.take("IF", "EXISTS")}
	for more := true; more; more = p.takePunct(',') {
		s.Tables = append(s.Tables, p.table())
	}
	return s
}

// onTable classifies what is done to an index ON a table.
func (p *parser) onTable(verb string) Statement {
	s := Statement{Kind: DDL, Verb: verb}
	if p.find("ON") {
		p.skip()
		s.Tables = []string{p.table()}
	}
	return s
}

// rename classifies RENAME TABLE and RENAME USER.
func (p *parser) rename(verb string) Statement {
	s := Statement{Kind: DDL, Verb: verb}
	if !p.take("TABLE") && !p.take("TABLES") {
		return s
	}
	p.take("IF", "EXISTS")
	for more := true; more; more = p.takePunct(',') {
		s.Tables = append(s.Tables, p.table())
		p.wait()
		p.take("TO")
		p.table()
	}
	return s
}

// truncate classifies TRUNCATE [TABLE].
func (p *parser) truncate(verb string) Statement {
	p.take("TABLE")
	if q := *p; isSystem(q.tok) {
		if q.skip(); q.tok.punct('.') {
			return refuse(verb, reasonSystem)
		}
	}
	return Statement{Kind: DDL, Verb: verb, Tables: []string{p.table()}}
}

// table takes the name of a table, qualified or not, and returns it as it is written.
func (p *parser) table() string {
	start, end := p.tok.start, p.tok.end
	p.name()
	if p.takePunct('.') {
		end = p.tok.end
		p.name()
	}
	return p.lexer.text[start:end]
}

// Named returns the names of a table, and of its database if that is said, as they are meant by what table returns.
func Named(table string, d Dialect) (database, name string) {
	p := newParser(table, d)
	return p.named()
}

// TableOf is Named, and ok is false where that is not the name of a table alone.
func TableOf(table string, d Dialect) (database, name string, ok bool) {
	p := newParser(table, d)
	database, name = p.named()
	return database, name, name != "" && p.tok.kind == tokenEnd && !p.lexer.inside
}

// named takes the name of a table as table does, and returns what it means.
func (p *parser) named() (database, name string) {
	name = p.name()
	if p.takePunct('.') {
		database, name = name, p.name()
	}
	return database, name
}

// object takes what stands between CREATE, ALTER or DROP and the kind of the object, and the kind.
func (p *parser) object() string {
	temporary := false
	for !p.end() {
		start := p.tok.start
		word := upper(p.tok.text)
		if p.tok.kind != tokenWord {
			return ""
		}
		p.skip()
		switch word {
		case "TEMPORARY":
			temporary = true
		case "ONLINE", "OFFLINE", "IGNORE", "UNIQUE", "FULLTEXT", "INVOKER", "VECTOR":
		case "SPATIAL":
			if p.take("REFERENCE") {
				return "SPATIAL REFERENCE"
			}
		case "ALGORITHM":
			p.takePunct('=')
			p.skip()
		case "DEFINER":
			p.definer(start)
		case "AGGREGATE":
			p.undefined(start)
		case "SQL": // SECURITY DEFINER
			p.undefined(start)
			p.skip()
			p.skip()
		default:
			p.undefined(start)
			if temporary {
				return "TEMPORARY " + word
			}
			return word
		}
	}
	return ""
}

// undefined notes where a definer would stand, if there is none.
func (p *parser) undefined(at int) {
	if p.defines == nil {
		p.defines = &Definer{Start: at, End: at, Current: true}
	}
}

// definer takes = user[@host], = CURRENT_USER[()] or = role, behind the word DEFINER, which begins at start.
func (p *parser) definer(start int) {
	d := &Definer{Start: start}
	p.defines = d
	p.takePunct('=')
	start = p.tok.start
	defer func() { d.Said = strings.TrimSpace(p.lexer.text[start:d.End]) }()
	d.Current = p.at("CURRENT_USER")
	d.Name, d.End = unquote(p.tok.text), p.tok.end
	p.skip()
	switch {
	case p.tok.punct('('):
		p.skip()
		d.End = p.tok.end
		p.takePunct(')')
	case p.tok.kind == tokenUser: // @host, @'host'
		host := p.tok.start + 1
		for d.End = p.tok.end; ; {
			p.skip()
			if p.tok.start != d.End || !p.tok.punct('.') && !p.tok.punct('%') && !p.tok.punct('-') && p.tok.kind != tokenWord {
				break
			}
			d.End = p.tok.end
		}
		d.Host = unquote(p.lexer.text[host:d.End])
	case p.takePunct('@'):
		d.Host, d.End = unquote(p.tok.text), p.tok.end
		p.skip()
	}
}

func join(verb, what string) string {
	if what == "" {
		return verb
	}
	return verb + " " + what
}

// maintain classifies OPTIMIZE, REPAIR, CHECK and ANALYZE of tables: they commit, and concern what each backend keeps
// beside the rows, so each does it.
func (p *parser) maintain(verb string) Statement {
	if !p.take("LOCAL") {
		p.take("NO_WRITE_TO_BINLOG")
	}
	if !p.take("TABLE") && !p.take("TABLES") {
		return refuse(verb, "Nexus does not understand it")
	}
	if verb == "CHECK" {
		return Statement{Kind: Read, Verb: verb + " TABLE"}
	}
	s := Statement{Kind: DDL, Verb: verb + " TABLE"}
	for more := true; more; more = p.takePunct(',') {
		s.Tables = append(s.Tables, p.table())
	}
	return s
}
