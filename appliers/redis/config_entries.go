package redis

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// settingsKey holds the settings that entries have given the backend, as a hash in the metadata database. It goes into
// snapshots, so a backend that is filled gets them with its data.
const settingsKey = "raft.settings"

// eventsSetting says which keyspace notifications the backend sends.
const eventsSetting = "notify-keyspace-events"

// replicatedSettings are the parameters that entries may set, with the value that a backend has until an entry has set
// another one, whatever its own configuration says: replies, the outcome of writes (XTRIM with ~, PFADD, RESTORE) and how
// data is stored depend on them. eventsSetting alone is left as the backend has it.
var replicatedSettings = map[string]string{
	eventsSetting:               "",
	"hash-max-listpack-entries": "512",
	"hash-max-listpack-value":   "64",
	"hll-sparse-max-bytes":      "3000",
	"list-compress-depth":       "0",
	"list-max-listpack-size":    "-2",
	limitSetting:                "0",
	policySetting:               noEviction,
	"proto-max-bulk-len":        "536870912",
	"sanitize-dump-payload":     "no",
	"set-max-intset-entries":    "512",
	"stream-node-max-bytes":     "4096",
	"stream-node-max-entries":   "100",
	"zset-max-listpack-entries": "128",
	"zset-max-listpack-value":   "64",
}

// ReplicatedSettings returns the names of the parameters that a CONFIG SET in the log may set.
func ReplicatedSettings() []string { return slices.Sorted(maps.Keys(replicatedSettings)) }

// nodeSettings are what the entries applied so far have set. They are copied before they are changed.
type nodeSettings struct {
	values map[string]string
	// events is the value of eventsSetting that the backend has, also if no entry has set it.
	events string
	limit  int64 // of memory, in bytes
}

// set returns the settings with another one.
func (s nodeSettings) set(name, value string) nodeSettings {
	values := maps.Clone(s.values)
	if values == nil {
		values = make(map[string]string)
	}
	values[name] = value
	s.values = values
	switch name {
	case eventsSetting:
		s.events = value
	case limitSetting:
		s.limit, _ = parseLimit(value) // withoutLimit has looked at it
	}
	return s
}

// command returns the command that writes the settings to settingsKey.
func (s nodeSettings) command() []byte {
	args := []string{"HSET", settingsKey}
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		args = append(args, name, s.values[name])
	}
	return appendStrings(nil, args...)
}

// sends tells whether the backend sends events of a class, to the channels of keys or to those of events.
func (s nodeSettings) sends(channels string, class byte) bool {
	return strings.ContainsAny(s.events, channels) && (strings.IndexByte(s.events, class) >= 0 || strings.IndexByte(s.events, 'A') >= 0)
}

// sendsAny tells whether the backend sends any events.
func (s nodeSettings) sendsAny() bool { return strings.ContainsAny(s.events, "KE") }

// parseSettings takes the parameters and the values, in turn, from an item that is CONFIG SET.
func parseSettings(cmd []byte, scratch [][]byte) (pairs []string, err error) {
	args, err := ParseCommand(cmd, scratch)
	if err != nil {
		return nil, err
	}
	if len(args) < 4 || len(args)%2 != 0 || !strings.EqualFold(string(args[1]), "set") {
		return nil, errors.New("CONFIG must be in the log as CONFIG SET with parameters and values only")
	}
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i]))
		if _, ok := replicatedSettings[name]; !ok {
			return nil, fmt.Errorf("CONFIG SET %.60q must not be in the log", name)
		}
		pairs = append(pairs, name, string(args[i+1]))
	}
	return pairs, nil
}

// configure gives the backend the settings that the entries in it have made: a server that was restarted, or whose data
// was replaced, has others. It reads the users that they have made, too. c is in the metadata database.
func (b *Backend) configure(c *conn) error {
	values, err := readSettings(c)
	if err != nil {
		return fmt.Errorf("read the settings that were replicated: %w", err)
	}
	s := nodeSettings{values: values}
	if value, ok := values[limitSetting]; ok {
		if s.limit, err = parseLimit(value); err != nil {
			return fmt.Errorf("the settings that were replicated: %w", err)
		}
	}
	if err := set(c, s.wanted()); err != nil {
		return fmt.Errorf("settings that must be as on the other nodes: %w", err)
	}
	raw, err := c.one("CONFIG", "GET", eventsSetting)
	if err != nil {
		return fmt.Errorf("CONFIG GET %s: %w", eventsSetting, err)
	}
	s.events, _ = configValue(raw)
	users, err := readUsers(c)
	if err != nil {
		return fmt.Errorf("read the users that were replicated: %w", err)
	}
	b.keepSettings(s)
	b.keepUsers(users)
	return nil
}

// wanted returns the settings that a backend must have.
func (s nodeSettings) wanted() []setting {
	var list []setting
	for _, name := range ReplicatedSettings() {
		value, ok := s.values[name]
		if !ok || name == limitSetting {
			value = replicatedSettings[name]
		}
		if ok || name != eventsSetting {
			list = append(list, setting{name, value})
		}
	}
	return list
}

// set gives parameters values that they do not have yet: a server on which they are right need not let them be changed.
func set(c *conn, wanted []setting) error {
	get, change := []string{"CONFIG", "GET"}, []string{"CONFIG", "SET"}
	for _, w := range wanted {
		get = append(get, w.name)
	}
	raw, err := c.one(get...)
	if err != nil {
		return fmt.Errorf("CONFIG GET: %w", err)
	}
	has, err := parsePairs(raw)
	if err != nil {
		return fmt.Errorf("CONFIG GET: %w", err)
	}
	for _, w := range wanted {
		if value, ok := has[w.name]; !ok || value != w.value {
			change = append(change, w.name, w.value)
		}
	}
	if len(change) == 2 {
		return nil
	}
	if _, err := c.one(change...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(change, " "), err)
	}
	return nil
}

func readSettings(c *conn) (map[string]string, error) {
	raw, err := c.one("HGETALL", settingsKey)
	if err != nil {
		return nil, err
	}
	values, err := parsePairs(raw)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(values, func(name, _ string) bool {
		_, ok := replicatedSettings[name]
		return !ok
	})
	return values, nil
}

// parsePairs takes names and values, in turn, from a raw reply.
func parsePairs(raw []byte) (map[string]string, error) {
	n, rest, ok := cutHead(raw, '*')
	if !ok || n%2 != 0 {
		return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
	}
	pairs := make(map[string]string)
	for ; n > 0; n -= 2 {
		var name, value []byte
		if name, rest, ok = cutBulk(rest); !ok {
			return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
		}
		if value, rest, ok = cutBulk(rest); !ok {
			return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
		}
		pairs[string(name)] = string(value)
	}
	return pairs, nil
}

// addSetting keeps a setting that the item before it has made.
func (r *run) addSetting(metadataDB int, cmd []byte) error {
	pairs, err := parseSettings(cmd, r.args)
	if err != nil {
		return err
	}
	for i := 0; i < len(pairs); i += 2 {
		r.settings = r.settings.set(pairs[i], pairs[i+1])
	}
	loud := r.settings.sendsAny()
	if loud {
		r.setEvents("")
	}
	r.writeSettings(metadataDB)
	if loud {
		r.setEvents(r.settings.events)
	}
	return nil
}

// writeSettings writes all settings to the metadata database.
func (r *run) writeSettings(metadataDB int) {
	r.sel(metadataDB, slotMeta)
	r.out = append(r.out, r.settings.command()...)
	r.slots = append(r.slots, slot{kind: slotSetting, want: -1})
}

// setEvents changes which notifications the backend sends, until the next call.
func (r *run) setEvents(events string) {
	r.out = append(r.out, appendStrings(nil, "CONFIG", "SET", eventsSetting, events)...)
	r.slots = append(r.slots, slot{kind: slotSetting, want: -1})
}
