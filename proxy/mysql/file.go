package mysql

import (
	"strings"

	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// Files that a statement names are those of the leader's server: LOAD DATA INFILE and LOAD_FILE() read them there, and what is in the log are
// rows. SELECT ... INTO OUTFILE writes one. A file in the directory of a database keeps that server alone from dropping it, so there must be a
// directory of its own for them.

// mayWriteFile refuses to let the server write files wherever it may.
func (s *session) mayWriteFile(what *statement.Statement) error {
	if !what.WritesFile {
		return nil
	}
	row, err := s.row("SELECT IFNULL(@@secure_file_priv,''), @@datadir")
	if err != nil {
		return err
	}
	if own, data := row[0], row[1]; own == "" || strings.HasPrefix(data, own) || strings.HasPrefix(own, data) {
		return refused("%s into a file is refused: the server might write it among its own; let its secure_file_priv be a directory that is not in the data directory", what.Verb)
	}
	return nil
}
