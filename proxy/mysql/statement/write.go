package statement

// dml classifies INSERT, REPLACE, UPDATE, DELETE and CALL.
func (p *parser) dml(verb string) Statement {
	if p.at("DELAYED") {
		return refuse(verb, "DELAYED is for engines without transactions")
	}
	return Statement{Kind: Write, Verb: verb}
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
	return Statement{Kind: Write, Verb: verb, LocalFile: true}
}
