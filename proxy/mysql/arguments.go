package mysql

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// readingModes are what sql_mode says about how a text is read.
var readingModes = []string{"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "HIGH_NOT_PRECEDENCE", "ORACLE"}

// carry returns the arguments of a call as they are said with the settings of the procedure, with which the block is read that they stand in.
// What would mean something else then is refused: with another sql_mode a quote may end later than it did, and what stands behind it would be
// executed without having been looked at.
func (s *session) carry(p *procedure, said []string, mode, client, database string) ([]string, error) {
	differs := ""
	for _, word := range readingModes {
		if hasWord(mode, word) != hasWord(p.mode, word) {
			differs = word
		}
	}
	carried := make([]string, len(said))
	for i, argument := range said {
		switch {
		case statement.IsPlain(argument, s.dialect):
		case differs != "":
			return nil, refused("CALL is refused: its argument %d is read with another sql_mode than that of the procedure, which differs in %s; put it into a variable (SET @a=...) first", i+1, differs)
		case database != p.database && statement.MentionsWord(argument, s.dialect, "SELECT"):
			return nil, refused("CALL is refused: the query in its argument %d is of another database than the procedure; put it into a variable (SET @a=...) first", i+1)
		}
		var err error
		if carried[i], err = s.inUTF8(argument, client); err != nil {
			return nil, err
		}
	}
	return carried, nil
}

// inUTF8 is a text of the client's, in the character set client, in utf8mb4.
func (s *session) inUTF8(text, client string) (string, error) {
	if isASCII(text) || client == "utf8mb4" || client == "utf8mb3" {
		return text, nil
	}
	if client == "binary" || statement.MentionsWord(text, s.dialect, "_BINARY") {
		return "", refused("CALL is refused: bytes that are no characters stand in an argument; put it into a variable (SET @a=...) first")
	}
	row, err := s.row(fmt.Sprintf("SELECT HEX(CONVERT(_%s 0x%x USING utf8mb4)), HEX(CONVERT(CONVERT(_%[1]s 0x%[2]x USING utf8mb4) USING %[1]s))", client, text))
	if err != nil {
		return "", err
	}
	converted, err := hex.DecodeString(row[0])
	if err != nil {
		return "", fmt.Errorf("an argument in %s: %w", client, err)
	}
	if !strings.EqualFold(row[1], hex.EncodeToString([]byte(text))) {
		return "", refused("CALL is refused: an argument is not all in the character set %s", client)
	}
	return string(converted), nil
}
