package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The server writes the definition of a view anew and keeps that, and not all of it in quotes that needs them: not the names behind WITH. What it then cannot read it does not
// show either, so that no snapshot could have it.

// UnreadableError is for a view that the server does not read back as it was made.
type UnreadableError struct{ Reason string }

func (e *UnreadableError) Error() string {
	return "the server does not read this view back as it was made: " + e.Reason
}

// TryView makes a view on this server, and not in its log, and looks whether it can be made again by what the server shows of it. If not, the error is an *UnreadableError.
// Others are of the view. The statement is read as a client with the settings of prelude would, and making returns it for a view of another name.
func (b *Backend) TryView(ctx context.Context, prelude []string, making func(other string) string) error {
	return b.try(ctx, prelude, "VIEW", func(k *conn, tried string) error {
		if _, err := k.exec(ctx, making(tried)); err != nil {
			return err
		}
		return k.readBack(ctx, tried)
	})
}

// readBack makes a view again as the server shows it, which must be the same.
func (k *conn) readBack(ctx context.Context, view string) error {
	if _, err := k.exec(ctx, "SET SESSION sql_mode='', character_set_results=@@character_set_client"); err != nil {
		return err
	}
	shown, err := k.shownView(ctx, view)
	if err != nil {
		return err
	}
	if _, err := k.exec(ctx, strings.Replace(shown, "CREATE ", "CREATE OR REPLACE ", 1)); err != nil {
		return unreadable(err)
	}
	again, err := k.shownView(ctx, view)
	if err != nil {
		return err
	}
	if again != shown {
		return &UnreadableError{"it is another one when it is made by the definition that the server shows"}
	}
	return nil
}

func (k *conn) shownView(ctx context.Context, view string) (string, error) {
	row, err := k.row(ctx, "SHOW CREATE VIEW "+view)
	if err != nil {
		return "", unreadable(err)
	}
	if len(row) < 2 {
		return "", fmt.Errorf("%s: the server does not tell the definition", view)
	}
	return row[1], nil
}

// unreadable makes an *UnreadableError of what the server says of a view itself.
func unreadable(err error) error {
	var server *ServerError
	if !errors.As(err, &server) || machineError(server.Code) {
		return err
	}
	switch server.Code {
	case 1044, 1045, 1142, 1143, 1227: // the account may not
		return err
	}
	return &UnreadableError{server.Message}
}
