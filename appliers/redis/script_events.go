package redis

import (
	"bytes"
	"fmt"
	"strings"
)

// ScriptEvents is how an EVAL in the log begins that has its subscribers told of other events than those of the commands that
// it runs. While notifications are on, the backend is made silent for it, and the table has the classes of events that are
// wanted, and as keys and events what the channels begin with that are.
const ScriptEvents = "local events = {}\n"

// tellsItself reports whether a command is such an EVAL, and leaves its arguments in r.args.
func (r *run) tellsItself(cmd []byte) bool {
	var err error
	r.args, err = ParseCommand(cmd, r.args)
	return err == nil && len(r.args) > 2 && bytes.EqualFold(r.args[0], []byte("EVAL")) && bytes.HasPrefix(r.args[1], []byte(ScriptEvents))
}

// addTelling adds such an EVAL, whose arguments are in r.args.
func (r *run) addTelling(db int, s slot) {
	var table strings.Builder
	table.WriteString("local events = {")
	if strings.Contains(r.settings.events, "K") {
		fmt.Fprintf(&table, "keys = '__keyspace@%d__:', ", db)
	}
	if strings.Contains(r.settings.events, "E") {
		fmt.Fprintf(&table, "events = '__keyevent@%d__:', ", db)
	}
	for _, class := range []byte("g$lshzt") {
		if r.settings.sends("KE", class) {
			fmt.Fprintf(&table, "['%c'] = true, ", class)
		}
	}
	table.WriteString("}\n")
	r.args[1] = append([]byte(table.String()), r.args[1][len(ScriptEvents):]...)
	r.setEvents("")
	r.send(AppendCommand(nil, r.args...))
	r.slots = append(r.slots, s)
	r.setEvents(r.settings.events)
}
