package mysql

import (
	"context"
	"errors"
	"fmt"
)

// Events of the server are executed by the node that leads, and by no server: what they do goes through the log like what any
// client does. Definitions are in mysql.event of every server; when an event is due tells the leader's.

// Event is one that is to be executed, or is over.
type Event struct {
	Database, Name, Definer string
	// Due is the last time at which it was to be executed, in UTC; "" if there is none since it was Modified.
	Due, Modified string
	// Over says that it will not be due again; Preserve that it is not dropped then.
	Over, Preserve bool

	TimeZone        string
	body            string
	mode, collation string
}

// dueEvents selects what is enabled, with the last time at which each was due: since it was made or changed last, and not later
// than its end. Days and what is longer are counted in the event's time zone.
var dueEvents = "WITH spans AS (SELECT *, UTC_TIMESTAMP() AS at, LEAST(UTC_TIMESTAMP(), IFNULL(ends, UTC_TIMESTAMP())) AS until, REGEXP_SUBSTR(interval_field, '[A-Z]+$') AS unit" +
	" FROM mysql.event WHERE status='ENABLED')," +
	" times AS (SELECT *, CONVERT_TZ(starts, '+00:00', time_zone) AS first, CONVERT_TZ(until, '+00:00', time_zone) AS last FROM spans)," +
	" dues AS (SELECT *, CASE WHEN execute_at IS NOT NULL THEN execute_at WHEN starts>until THEN NULL" +
	" WHEN unit='SECOND' THEN starts + INTERVAL (TIMESTAMPDIFF(SECOND, starts, until) DIV interval_value)*interval_value SECOND" +
	" WHEN unit='MINUTE' THEN starts + INTERVAL (TIMESTAMPDIFF(MINUTE, starts, until) DIV interval_value)*interval_value MINUTE" +
	" WHEN unit='HOUR' THEN starts + INTERVAL (TIMESTAMPDIFF(HOUR, starts, until) DIV interval_value)*interval_value HOUR" +
	" WHEN unit='DAY' THEN CONVERT_TZ(first + INTERVAL (TIMESTAMPDIFF(DAY, first, last) DIV interval_value)*interval_value DAY, time_zone, '+00:00')" +
	" WHEN unit='WEEK' THEN CONVERT_TZ(first + INTERVAL (TIMESTAMPDIFF(WEEK, first, last) DIV interval_value)*interval_value WEEK, time_zone, '+00:00')" +
	" WHEN unit='MONTH' THEN CONVERT_TZ(first + INTERVAL (TIMESTAMPDIFF(MONTH, first, last) DIV interval_value)*interval_value MONTH, time_zone, '+00:00')" +
	" WHEN unit='QUARTER' THEN CONVERT_TZ(first + INTERVAL (TIMESTAMPDIFF(MONTH, first, last) DIV (3*interval_value))*3*interval_value MONTH, time_zone, '+00:00')" +
	" WHEN unit='YEAR' THEN CONVERT_TZ(first + INTERVAL (TIMESTAMPDIFF(YEAR, first, last) DIV interval_value)*interval_value YEAR, time_zone, '+00:00') END AS due FROM times)" +
	" SELECT db, name, definer, IF(due<=at AND due>=modified, due, ''), modified, IFNULL(execute_at<=at, IFNULL(ends<=at, 0)), on_completion='PRESERVE'," +
	" time_zone, " + WholeBody + ", sql_mode, collation_connection FROM dues"

// Events returns the enabled events of which one may have to be executed or ended now, and how many are enabled.
func (b *Backend) Events(ctx context.Context) (due []Event, enabled int, err error) {
	k, err := b.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer k.close()
	if err := k.run(ctx, "SET NAMES utf8mb4"); err != nil {
		return nil, 0, err
	}
	rows, err := k.rows(ctx, dueEvents)
	if err != nil {
		return nil, 0, fmt.Errorf("look for events that are due: %w", err)
	}
	for _, row := range rows {
		e := Event{Database: row[0], Name: row[1], Definer: row[2], Due: row[3], Modified: row[4], Over: row[5] == "1", Preserve: row[6] == "1",
			TimeZone: row[7], body: row[8], mode: row[9], collation: row[10]}
		if e.Due != "" || e.Over {
			due = append(due, e)
		}
	}
	return due, len(rows), nil
}

// EventProcedure begins the names of procedures that MakeProcedure has made.
const EventProcedure = "nexus_event_"

// MakeProcedure makes a procedure on this server that does what an event does, with the rights of its definer, and returns its
// name. DropProcedure removes it.
func (b *Backend) MakeProcedure(ctx context.Context, e *Event) (string, error) {
	k, err := b.connect(ctx)
	if err != nil {
		return "", err
	}
	defer k.close()
	p := &Procedure{Database: e.Database, Definer: e.Definer, Mode: e.mode, Collation: e.collation}
	procedure := EventProcedure + newSecret()
	definer, err := k.makeProcedure(ctx, p, procedure, e.body)
	if err == nil { // a definer that is gone must not come back
		err = k.run(ctx, neverMakeUsers, "GRANT EXECUTE ON PROCEDURE "+procedure+" TO "+definer)
	}
	if err != nil {
		return "", errors.Join(err, b.takeBack(ctx, e.Database, procedure))
	}
	return procedure, nil
}
