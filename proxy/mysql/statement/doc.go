// Package statement says what a SQL statement is, before anybody executes it.
//
// A node treats reads, writes, transaction control, session state and DDL in different ways, and refuses what it cannot
// show to be one of them. No Go parser accepts all that MariaDB and MySQL accept, so this package does not parse: a lexer
// (lexer.go) that knows the comments, quotes and escapes of the server yields words, and the first few decide
// (classify.go). Where a word further on decides, as FOR UPDATE or ENGINE do, the rest is scanned on the level of words
// and parentheses.
//
// A mistake must be harmless. The caller executes what is a Read here in a session that is READ ONLY: a "read" that
// writes (a function, a trigger, NEXTVAL) fails there, and is run again as a write. What must never happen is that
// something that changes the server outside of a transaction, or ends one, counts as a Read or a Write: those words are
// listed, and a first word that is not known at all is refused.
//
// Nothing here depends on the server's state, and nothing is kept between statements.
package statement
