package statement

import "strings"

// tableOptions looks at the options of a table: the engine that it names and does not get, the text with InnoDB in the
// place of the engines of partitions, which the server would not replace by itself, and why the table is refused.
func (p *parser) tableOptions() (engine, rewritten, reason string) {
	var out strings.Builder
	done, depth := 0, 0
	for q := *p; !q.end(); {
		switch {
		case q.take("DATA", "DIRECTORY"), q.take("INDEX", "DIRECTORY"):
			return "", "", reasonFile
		case q.take("ENGINE"), q.take("TYPE"):
			named, found := q.engine()
			if !found || named.is("INNODB") || named.is("DEFAULT") {
				continue
			}
			name := unquote(named.text)
			if reason := engineRefusal(name); reason != "" {
				return "", "", reason
			}
			if !substituted(name) {
				continue
			}
			engine = name
			if depth > 0 {
				out.WriteString(q.lexer.text[done:named.start] + "InnoDB")
				done = named.end
			}
		case q.tok.punct('('):
			depth++
			q.skip()
		case q.tok.punct(')'):
			depth--
			q.skip()
		default:
			q.skip()
		}
	}
	if done > 0 {
		rewritten = out.String() + p.lexer.text[done:]
	}
	return engine, rewritten, ""
}

// engine takes the name of an engine, behind the word ENGINE. found is false where that was the name of a column.
func (p *parser) engine() (named token, found bool) {
	if !p.takePunct('=') && p.tok.kind != tokenWord {
		return named, false
	}
	named = p.tok
	if named.kind != tokenWord && named.kind != tokenQuoted && named.kind != tokenString || p.at(columnWords...) {
		return named, false
	}
	p.skip()
	return named, true
}

// columnWords are what may follow ENGINE or TYPE where that is the name of a column or of its part.
var columnWords = []string{
	"INT", "INTEGER", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "DECIMAL", "NUMERIC", "FLOAT", "DOUBLE", "REAL", "BIT",
	"BOOL", "BOOLEAN", "CHAR", "VARCHAR", "NCHAR", "NVARCHAR", "NATIONAL", "BINARY", "VARBINARY", "TINYTEXT", "TEXT",
	"MEDIUMTEXT", "LONGTEXT", "LONG", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "ENUM", "SET", "JSON", "DATE", "TIME",
	"DATETIME", "TIMESTAMP", "YEAR", "SERIAL", "UUID", "INET4", "INET6", "GEOMETRY", "POINT", "ASC", "DESC", "IS", "IN", "AND",
	"OR", "FIRST", "AFTER", "TO",
}

// substituted reports whether tables of an engine become tables of InnoDB. A name that is not here is left to the server,
// which may not know it.
func substituted(engine string) bool {
	switch upper(engine) {
	case "MYISAM", "ARIA", "MEMORY", "HEAP", "CSV", "ARCHIVE", "ISAM", "BDB", "BERKELEYDB", "NDB", "NDBCLUSTER", "TOKUDB", "ROCKSDB", "MYROCKS", "FALCON", "PBXT":
		return true
	}
	return false
}

// engineRefusal says why a table of an engine cannot be one of InnoDB.
func engineRefusal(engine string) string {
	switch upper(engine) {
	case "MERGE", "MRG_MYISAM", "BLACKHOLE", "FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "S3", "SPHINX", "OQGRAPH", "MROONGA", "COLUMNSTORE", "SEQUENCE", "PERFORMANCE_SCHEMA":
		return "a table of the engine " + engine + " does not hold its rows itself, so that it cannot become one of InnoDB"
	}
	return ""
}
