package statement

// createRole classifies CREATE ROLE.
func (p *parser) createRole(verb string) Statement {
	s := Statement{Kind: DDL, Verb: verb}
	if p.has("WITH", "ADMIN") {
		return s
	}
	for !p.end() {
		s.Behind = p.tok.end
		p.skip()
	}
	return s
}

// grant classifies GRANT and REVOKE.
func (p *parser) grant(verb string) Statement {
	s := Statement{Kind: DDL, Verb: verb}
	p.take("ADMIN", "OPTION", "FOR")
	if p.at("ALL", "PROXY") {
		return s
	}
	for q := *p; !q.end() && !q.at("TO", "FROM"); q.skip() {
		if q.at("ON") {
			return s // of privileges
		}
	}
	for !p.end() {
		if p.tok.kind == tokenString {
			s.Roles = append(s.Roles, unquote(p.tok.text))
			p.skip()
		} else {
			s.Roles = append(s.Roles, p.name())
		}
		if !p.takePunct(',') {
			break
		}
	}
	return s
}
