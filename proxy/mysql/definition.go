package mysql

import (
	"slices"
	"strings"
)

// The definition of a table as the server tells it is executed by the node's own account, on all servers. Who has made the table has chosen what stands in it: names,
// defaults, comments. So it must mean to those who read it what it meant to the one that wrote it, to the letter. The server writes a backslash before a quote also
// where the sql_mode says that it is nothing special, and names in other quotes in another mode; options that it does not know it writes into a comment, which
// may end in one of these. So it is asked for in one mode, in which it writes no such comments, and read in that.

// inOneSyntax has SHOW CREATE TABLE write what definitionMode reads.
const inOneSyntax = "SET STATEMENT sql_mode='" + keepsOptions + "', sql_quote_show_create=1"

// keepsOptions is the mode in which options that the server does not know are like others.
const keepsOptions = "IGNORE_BAD_TABLE_OPTIONS"

// syntaxModes are words of sql_mode that change how a text is read, and those that stand for some of them.
var syntaxModes = []string{
	"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "HIGH_NOT_PRECEDENCE", "REAL_AS_FLOAT", "EMPTY_STRING_IS_NULL",
	"ANSI", "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "MYSQL323", "MYSQL40",
}

// withSyntaxOf is a sql_mode in which texts are read as in another one.
func withSyntaxOf(mode, other string) string {
	var words []string
	for word := range strings.SplitSeq(mode, ",") {
		if word != "" && !slices.Contains(syntaxModes, word) {
			words = append(words, word)
		}
	}
	for word := range strings.SplitSeq(other, ",") {
		if slices.Contains(syntaxModes, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ",")
}

// definitionMode is a sql_mode in which a definition is read as inOneSyntax has it.
func definitionMode(mode string) string {
	return strings.TrimPrefix(withSyntaxOf(without(mode, keepsOptions), "")+","+keepsOptions, ",")
}
