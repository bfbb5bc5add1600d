package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// readingModes are what sql_mode says about how a text is read.
var readingModes = []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "HIGH_NOT_PRECEDENCE", "ORACLE"}

// carry returns the arguments of a call as they are said with the settings of the procedure, with which the block is read that they stand in;
// nil where they would mean something else then. With another sql_mode a quote may end later than it did, and what stands behind it would be
// executed without having been looked at; a function is looked for in another database.
func (s *session) carry(p *procedure, said []string, mode, client, database string) ([]string, error) {
	alike := database == p.Database
	for _, word := range readingModes {
		alike = alike && hasWord(mode, word) == hasWord(p.Mode, word)
	}
	carried := make([]string, len(said))
	for i, argument := range said {
		if statement.IsPlain(argument, s.dialect) {
			carried[i] = argument
			continue
		}
		text, ok, err := s.inUTF8(argument, client)
		if !ok || !alike || err != nil {
			return nil, err
		}
		carried[i] = text
	}
	return carried, nil
}

// inUTF8 is a text of the client's, in the character set client, in utf8mb4. ok is false where it is not all of characters.
func (s *session) inUTF8(text, client string) (converted string, ok bool, err error) {
	if isASCII(text) || client == "utf8mb4" || client == "utf8mb3" {
		return text, true, nil
	}
	if client == "binary" || statement.MentionsWord(text, s.dialect, "_BINARY") {
		return "", false, nil
	}
	row, err := s.row(fmt.Sprintf("SELECT HEX(CONVERT(_%s 0x%x USING utf8mb4)), HEX(CONVERT(CONVERT(_%[1]s 0x%[2]x USING utf8mb4) USING %[1]s))", client, text))
	if err != nil {
		return "", false, err
	}
	raw, err := hex.DecodeString(row[0])
	if err != nil {
		return "", false, fmt.Errorf("an argument in %s: %w", client, err)
	}
	return string(raw), strings.EqualFold(row[1], hex.EncodeToString([]byte(text))), nil
}
