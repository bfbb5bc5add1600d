package statement

// Kind says how a statement is to be executed.
type Kind uint8

const (
	// Refused is not executed. Statement.Reason says why.
	Refused Kind = iota
	// Empty has no words at all: white space or comments.
	Empty
	// Read changes nothing but the session: SELECT, SHOW, EXPLAIN, DO.
	Read
	// LockingRead is a SELECT that takes row locks. Inside of a transaction they last until its end.
	LockingRead
	// Diagnostics looks at what the statement before left behind (SHOW WARNINGS, GET DIAGNOSTICS): nothing may be executed
	// in between.
	Diagnostics
	// Write changes rows in a transaction: INSERT, UPDATE, DELETE, REPLACE, LOAD DATA, CALL, and blocks of such statements.
	Write
	// Temporary creates, alters or drops a table of this session alone.
	Temporary
	// DDL changes the schema, accounts or privileges, and commits what is open before it.
	DDL
	// CreateSelect creates a table and fills it by a query: see Statement.Filling.
	CreateSelect
	// Begin starts a transaction, which ends the one before it.
	Begin
	// Commit ends a transaction, or does nothing outside of one.
	Commit
	// Rollback ends a transaction, or does nothing outside of one.
	Rollback
	// Savepoint is SAVEPOINT, ROLLBACK TO or RELEASE SAVEPOINT.
	Savepoint
	// Set changes variables of the session: see Statement.Assignments.
	Set
	// SetTransaction is SET [SESSION] TRANSACTION: see Statement.Access, Isolation and Session.
	SetTransaction
	// Use chooses the default database, Statement.Name.
	Use
	// Prepare makes a prepared statement in SQL text: see Statement.Name, Text and Expression.
	Prepare
	// Execute runs the prepared statement called Statement.Name, or Statement.Text, or what Statement.Expression says.
	Execute
	// Deallocate forgets a prepared statement.
	Deallocate
	// Kill ends the connection or query called Statement.Target.
	Kill
	// LockTables is LOCK TABLES, and FLUSH TABLES WITH READ LOCK: see Statement.Tables, Writes and Everything.
	LockTables
	// Unlock is UNLOCK TABLES.
	Unlock
	// Flush empties a cache of the server: see Statement.Rewritten.
	Flush
)

var kindNames = [...]string{
	Refused: "refused", Empty: "empty", Read: "read", LockingRead: "locking read", Diagnostics: "diagnostics", Write: "write",
	Temporary: "temporary", DDL: "ddl", CreateSelect: "create select", Begin: "begin", Commit: "commit", Rollback: "rollback", Savepoint: "savepoint",
	Set: "set", SetTransaction: "set transaction", Use: "use", Prepare: "prepare", Execute: "execute",
	Deallocate: "deallocate", Kill: "kill", LockTables: "lock tables", Unlock: "unlock",
	Flush: "flush",
}

func (k Kind) String() string { return kindNames[k] }

// Kinds returns all kinds there are.
func Kinds() []Kind {
	all := make([]Kind, len(kindNames))
	for k := range all {
		all[k] = Kind(k)
	}
	return all
}

// Access says whether a transaction may write.
type Access uint8

const (
	// AccessDefault is what the session says.
	AccessDefault Access = iota
	// ReadOnly refuses writes.
	ReadOnly
	// ReadWrite allows them.
	ReadWrite
)

// Statement is what is known about one statement. Its strings are copies or parts of the text that was classified.
type Statement struct {
	Kind Kind
	// Verb is the first word, in upper case; two words where the first says too little (CREATE TABLE).
	Verb string
	// Reason says why a statement is refused, and where there is one, what to do instead.
	Reason string
	// Syntax is set where the server would find an error of syntax: it begins at Near, on a line.
	Syntax bool
	Near   string
	Line   int

	// Of Begin and SetTransaction.
	Access    Access
	Snapshot  bool   // WITH CONSISTENT SNAPSHOT
	Isolation string // such as REPEATABLE READ; "" for none
	Session   bool   // SET SESSION TRANSACTION, as opposed to the next one only

	// Of Commit and Rollback.
	Chain   bool // AND CHAIN
	Release bool // RELEASE

	// Name of the database of Use and of DROP DATABASE, or of the prepared statement of Prepare, Execute and Deallocate; of the function of DROP
	// FUNCTION, as written; of the table of CREATE TABLE, without its database.
	Name string
	// Text of the statement that is prepared, where it is a literal.
	Text string
	// Expression has it as its value otherwise, from Behind on; or the connection of Kill.
	Expression string
	// Using follows in Execute: the word and the parameters.
	Using string

	// Into is the table that INSERT, REPLACE and LOAD write, behind its database, which is empty where the default one is meant.
	Into [2]string

	// Assignments of Set.
	Assignments []Assignment

	// Settings are what SET STATEMENT assigns, as written, for the statement behind its FOR, which begins at Inner in the text.
	Settings string
	Inner    int

	// Of Kill.
	Target    uint64
	QueryOnly bool // KILL QUERY

	// Of LockTables: some are locked for writing; all tables there are, against everybody's writing.
	Writes, Everything bool

	// Tables that DROP TABLE, ALTER TABLE, TRUNCATE and LOCK TABLES name, as written: a session may have temporary ones of these
	// names.
	Tables []string
	// IfExists is what DROP TABLE says.
	IfExists bool
	// Behind is where in the text stands what follows the word DROP, or the Expression; or where CREATE ROLE may say who has the
	// role to give, if it does not.
	Behind int

	// Roles that GRANT or REVOKE is about, rather than privileges.
	Roles []string

	// Filling of CreateSelect.
	Filling *Filling

	// Definer of a view, a program or an event.
	Definer *Definer

	// Engine is one that a table names and does not get: it becomes one of InnoDB. Rewritten is the statement to be executed
	// instead, where there is one: without DELAYED of Write.
	Engine    string
	Rewritten string

	// Numbers is set where ALTER TABLE numbers the rows that are there already, or keeps one of several, in the order that the
	// server has them in; Ignores where that is ALTER IGNORE TABLE.
	Numbers, Ignores bool

	// Chance is what ALTER TABLE mentions that has another value on every server, or at every call.
	Chance string

	// Locks is set where a lock with a name is taken, looked at or given back: GET_LOCK and its like.
	Locks bool

	// Calls is set where programs may be called that execute texts: CALL, and blocks.
	Calls bool

	// Texts is set for a block that is refused because it executes texts.
	Texts bool

	// WritesFile is set where a file is written by the server: SELECT ... INTO OUTFILE and INTO DUMPFILE.
	WritesFile bool

	// LocalFile is set where the client is asked for a file: LOAD DATA LOCAL INFILE.
	LocalFile bool
}

// Definer is what a statement says about whose rights something has. It stands from Start to End in the text; where nothing is
// said, that is the place for it.
type Definer struct {
	Start, End int
	// Current is set for CURRENT_USER, and where nothing is said.
	Current bool
	// Name and Host otherwise; a name without a host is a role, or of any host.
	Name, Host string
	// Said is what stands behind DEFINER =, as written.
	Said string
}

// Filling is what CREATE TABLE ... SELECT says about its table.
type Filling struct {
	Database, Table      string // Database is empty where the default one is meant
	Replace, IfNotExists bool
	// Rest is where in the text stands what follows the name, up to Head; the query begins at Query.
	Rest, Head, Query int
	// Duplicates is what stands before the query: IGNORE, REPLACE or nothing.
	Duplicates string
}

// Assignment is one variable that SET changes.
type Assignment struct {
	// User is set for @variables, which are of this session alone; Global for those of all sessions to come.
	User   bool
	Global bool
	// Name in lower case, without @ and scope.
	Name string
	// Value as written: a part of the text.
	Value string
}

// Bool returns what a literal value means as a boolean variable. ok is false for an expression.
func (a *Assignment) Bool() (value, ok bool) {
	switch upper(unquote(a.Value)) {
	case "1", "ON", "TRUE":
		return true, true
	case "0", "OFF", "FALSE":
		return false, true
	}
	return false, false
}

// Dialect is what the meaning of a text depends on.
type Dialect struct {
	// MariaDB is false for MySQL.
	MariaDB bool
	// Version as in versioned comments: 101119 for 10.11.19, 80036 for 8.0.36.
	Version int
	// NoBackslashEscapes and AnsiQuotes are the modes of that name in the session's sql_mode.
	NoBackslashEscapes bool
	AnsiQuotes         bool
	// Oracle is the mode ORACLE of MariaDB, in which BEGIN and DECLARE begin a block.
	Oracle bool
}
