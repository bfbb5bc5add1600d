package statement

import "strings"

// AsAccount returns a statement about accounts as another session than the client's can execute it: with account in the place of
// CURRENT_USER, and where the client's own account is meant because none is said.
func (s *Statement) AsAccount(text string, d Dialect, account string) string {
	if !s.ChangesAccounts() && s.Verb != "RENAME" || s.Verb == "CREATE USER" { // which makes no account that is there
		return text
	}
	var out strings.Builder
	p := newParser(text, d)
	done, end := 0, 0
	own, named := false, false // PASSWORD or DEFAULT ROLE was said, and of whom
	put := func(from, to int, what string) {
		out.WriteString(text[done:from] + what)
		done = to
	}
	for !p.end() {
		t := p.tok
		p.skip()
		end = t.end
		switch {
		case t.is("CURRENT_USER"):
			if p.takePunct('(') {
				end = p.tok.end
				p.takePunct(')')
			}
			put(t.start, end, account)
		case s.Verb == "SET PASSWORD" && t.is("PASSWORD") && !own:
			if own = true; !p.at("FOR") {
				put(t.end, t.end, " FOR "+account)
			}
		case s.Verb == "SET DEFAULT ROLE" && t.is("ROLE"):
			own = true
		case s.Verb == "SET DEFAULT ROLE" && own && t.is("FOR"):
			named = true
		}
	}
	if s.Verb == "SET DEFAULT ROLE" && !named {
		put(end, end, " FOR "+account)
	}
	return out.String() + text[done:]
}

// AsRole returns such a statement with a role, quoted, in the place of CURRENT_ROLE, but for whom something is given to: the name might be that of a
// user there.
func (s *Statement) AsRole(text string, d Dialect, role string) string {
	if s.Verb != "SET DEFAULT ROLE" && s.Verb != "DROP ROLE" && len(s.Roles) == 0 {
		return text
	}
	var out strings.Builder
	done := 0
	for p := newParser(text, d); !p.end() && !p.at("TO", "FROM", "FOR"); {
		t := p.tok
		p.skip()
		if !t.is("CURRENT_ROLE") {
			continue
		}
		end := t.end
		if p.takePunct('(') {
			end = p.tok.end
			p.takePunct(')')
		}
		out.WriteString(text[done:t.start] + role)
		done = end
	}
	return out.String() + text[done:]
}

// ChangesAccounts reports whether the statement is about accounts, roles or privileges; not for RENAME USER.
func (s *Statement) ChangesAccounts() bool {
	switch s.Verb {
	case "GRANT", "REVOKE", "CREATE USER", "ALTER USER", "DROP USER", "CREATE ROLE", "DROP ROLE", "SET PASSWORD", "SET DEFAULT ROLE":
		return true
	}
	return false
}
