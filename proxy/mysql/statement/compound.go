package statement

// Blocks of statements, BEGIN NOT ATOMIC ... END, IF, FOR and so on, are one statement to MariaDB outside of stored programs
// too. Here they are one transaction, as CALL is, but for those that are executed with their steps, as procedures are: see ReadBlock.

// compound classifies a block.
func (p *parser) compound(verb string) Statement {
	s := Statement{Kind: Write, Verb: verb, Calls: true, WritesFile: p.writesFile()}
	if reason := p.programRefusal(); reason != "" {
		return refuse(verb, reason)
	}
	if p.mentions("EXECUTE", "PREPARE") {
		s = refuse(verb, "it executes texts, which Nexus looks at only in a block that is sent as a text, in a default database, not in the mode ORACLE, or in a procedure")
		s.Texts = true
		return s
	}
	for q := *p; q.tok.kind != tokenEnd && q.tok.kind != tokenBad && !s.Locks; {
		s.Locks = q.calls(lockFunctions...) != "" // up to a semicolon
		for !q.end() {
			q.skip()
		}
		q.skip()
	}
	return s
}

// mentions reports whether one of words stands in the rest of the text, which may be a program.
func (p *parser) mentions(words ...string) bool {
	for q := *p; q.tok.kind != tokenEnd && q.tok.kind != tokenBad; q.skip() {
		if q.at(words...) {
			return true
		}
	}
	return false
}

// ReadBlock returns what a text is that is a block and nothing else, whatever texts it executes, and the block as the body of a procedure has it. ok is
// false for any other text, and where the block is refused for another reason.
func ReadBlock(text string, d Dialect) (s Statement, body string, ok bool) {
	if bad := badEnd(text, d); d.Oracle || bad.Reason != "" {
		return s, "", false
	}
	p := newParser(text, d)
	if p.lexer.inside || !p.startsBlock() {
		return s, "", false
	}
	l := lexer{text: text, dialect: d}
	end := programEnd(&l, l.next())
	behind := *p
	for behind.tok.start < end.start {
		behind.skip()
	}
	for behind.takePunct(';') {
	}
	if behind.tok.kind != tokenEnd {
		return s, "", false
	}
	if q := *p; q.label() { // which the server takes in programs alone
		return s, "", false
	}
	s = Statement{Kind: Write, Verb: upper(p.tok.text), Calls: true, WritesFile: p.writesFile()}
	from, to := p.tok.end, p.tok.end // of NOT ATOMIC
	if p.take("BEGIN") {
		if !p.at("NOT") || p.lexer.inside {
			return s, "", false
		}
		p.skip()
		if to = p.tok.end; !p.take("ATOMIC") || p.lexer.inside {
			return s, "", false
		}
	}
	return s, text[:from] + text[to:end.start], p.programRefusal() == ""
}

// label takes a label with its colon.
func (p *parser) label() bool {
	if p.tok.kind != tokenWord && p.tok.kind != tokenQuoted {
		return false
	}
	p.skip()
	return p.takePunct(':')
}

// oracleLabel takes a label as the mode ORACLE has them: <<name>>.
func (p *parser) oracleLabel() bool {
	q := *p
	if !p.lexer.dialect.Oracle || !q.takePunct('<') || !q.takePunct('<') || q.name() == "" || !q.takePunct('>') || !q.takePunct('>') {
		return false
	}
	*p = q
	return true
}

// programRefusal looks through the statements of a block for those that would act beside the transaction that it is executed
// in, or change how its session's next texts are read. What the server itself refuses inside of XA is left to it: COMMIT, and
// what changes the schema.
func (p *parser) programRefusal() string {
	if reason := p.besideTransaction(); reason != "" {
		return reason
	}
	var before token
	for q := *p; q.tok.kind != tokenEnd && q.tok.kind != tokenBad; q.skip() {
		assigned := before.is("SET") || before.punct(',')
		before = q.tok
		switch {
		case q.variable("SQL_LOG_BIN"):
			return "Nexus takes the rows from the binary log: sql_log_bin cannot be changed"
		case q.variable("CHARACTER_SET_CLIENT"), assigned && q.at("NAMES", "CHARSET", "CHARACTER"):
			return "a program would change how the session's next texts are read; say SET NAMES in the session"
		}
	}
	return ""
}

// besideTransaction looks through the statements of a program for those that reach past the transaction that it is called in:
// that end it, or change the leader's server alone. What a program makes up as a text is not seen.
func (p *parser) besideTransaction() string {
	var before token
	for q := *p; q.tok.kind != tokenEnd && q.tok.kind != tokenBad; q.skip() {
		switch {
		case q.xa():
			return refusedVerb("XA")
		case q.setsGlobal(before):
			return "SET GLOBAL in a program would change the leader's server alone; call it from the session"
		case q.opensSession(before):
			return "a program would let its session write beside the log: say SET TRANSACTION in the session"
		case q.writesSystem(before):
			return reasonSystem
		}
		before = q.tok
	}
	return ""
}

// setsGlobal reports whether a global variable is set here, behind the token before.
func (p *parser) setsGlobal(before token) bool {
	if !before.is("SET") && !before.punct(',') {
		return false
	}
	if p.tok.kind == tokenSystem {
		return p.assignsGlobal()
	}
	q := *p
	if !q.take("GLOBAL") {
		return false
	}
	return q.name() != "" && (before.is("SET") || q.takeAssign()) // or a variable of that name
}

// opensSession reports whether the access mode of transactions to come may be set here, behind the token before.
func (p *parser) opensSession(before token) bool {
	q := *p
	if q.variable("TX_READ_ONLY") || q.variable("TRANSACTION_READ_ONLY") {
		q.skip()
		assigned := before.is("SET") || before.is("SESSION") || before.is("LOCAL") || before.is("STATEMENT") || before.punct(',') || before.punct('.')
		return assigned && q.takeAssign()
	}
	if !before.is("SET") && !before.is("SESSION") && !before.is("LOCAL") || !q.take("TRANSACTION") {
		return false
	}
	for ; q.tok.kind != tokenEnd && q.tok.kind != tokenBad && !q.tok.punct(';'); q.skip() {
		if q.at("WRITE") {
			return true
		}
	}
	return false
}

// writesSystem reports whether a statement begins here, behind the token before, that writes a table of the database mysql.
func (p *parser) writesSystem(before token) bool {
	if !p.at("INSERT", "REPLACE", "UPDATE", "DELETE") || before.punct('.') ||
		before.is("BEFORE") || before.is("AFTER") || before.is("OR") || before.is("KEY") || before.is("FOR") || before.is("ON") {
		return false
	}
	q := *p
	verb := upper(q.tok.text)
	q.skip()
	if function := verb == "INSERT" || verb == "REPLACE"; function && q.tok.punct('(') {
		return false
	}
	return q.changesSystem(verb)
}

// variable reports whether the name of a system variable stands here.
func (p *parser) variable(name string) bool {
	switch p.tok.kind {
	case tokenWord, tokenSystem:
		return upper(p.tok.text) == name
	case tokenQuoted:
		return upper(unquote(p.tok.text)) == name
	}
	return false
}

// xa reports whether a statement of XA begins here.
func (p *parser) xa() bool {
	q := *p
	return q.take("XA") && q.at("START", "BEGIN", "END", "PREPARE", "COMMIT", "ROLLBACK", "RECOVER")
}

// assignsGlobal reports whether @@global.name = stands here, at the beginning of what SET assigns.
func (p *parser) assignsGlobal() bool {
	q := *p
	if upper(q.tok.text) != "GLOBAL" {
		return false
	}
	q.skip()
	return q.takePunct('.') && q.name() != "" && q.takeAssign()
}

// startsBlock reports whether a block begins here.
func (p *parser) startsBlock() bool {
	if q := *p; q.label() {
		return q.at("BEGIN", "LOOP", "WHILE", "REPEAT", "FOR")
	}
	q := *p
	if q.oracleLabel(); p.lexer.dialect.Oracle && q.at("BEGIN", "DECLARE") {
		return true
	}
	if q.take("BEGIN") {
		return q.at("NOT")
	}
	return p.at("IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR")
}
