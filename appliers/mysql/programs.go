package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
)

// StoredProgram is a procedure, or the body of a package of them, as CREATE has left it.
type StoredProgram struct {
	Database, Name string
	Mode           string // of SQL, that it was made with
	Body           string // in the character set that it was made in
}

// programs selects what may be called by CALL. Functions and triggers are not among it: the server lets none of them execute a text.
const programs = "SELECT HEX(db), HEX(name), sql_mode, HEX(body) FROM mysql.proc WHERE type IN ('PROCEDURE', 'PACKAGE BODY')"

// Programs returns the procedures of this server, whoever may see them.
func (b *Backend) Programs(ctx context.Context) ([]StoredProgram, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer k.close()
	rows, err := k.rows(ctx, programs)
	if err != nil {
		return nil, fmt.Errorf("read the stored programs: %w", err)
	}
	list := make([]StoredProgram, 0, len(rows))
	for _, row := range rows {
		p := StoredProgram{Mode: row[2]}
		for text, digits := range map[*string]string{&p.Database: row[0], &p.Name: row[1], &p.Body: row[3]} {
			raw, err := hex.DecodeString(digits)
			if err != nil {
				return nil, fmt.Errorf("read the stored programs: %w", err)
			}
			*text = string(raw)
		}
		list = append(list, p)
	}
	return list, nil
}
