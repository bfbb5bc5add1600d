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

// replicatedSettings are the parameters that entries may set: those that must be equal on all nodes.
var replicatedSettings = []string{eventsSetting}

// nodeSettings are what the entries applied so far have set. They are copied before they are changed.
type nodeSettings struct {
	values map[string]string
	// events is the value of eventsSetting that the backend has, also if no entry has set it.
	events string
}

// set returns the settings with another one.
func (s nodeSettings) set(name, value string) nodeSettings {
	values := maps.Clone(s.values)
	if values == nil {
		values = make(map[string]string)
	}
	values[name] = value
	s.values = values
	if name == eventsSetting {
		s.events = value
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

// parseSetting takes the parameter and the value from an item that is CONFIG SET.
func parseSetting(cmd []byte, scratch [][]byte) (name, value string, err error) {
	args, err := ParseCommand(cmd, scratch)
	if err != nil {
		return "", "", err
	}
	if len(args) != 4 || !strings.EqualFold(string(args[1]), "set") {
		return "", "", errors.New("CONFIG must be in the log as CONFIG SET with one parameter only")
	}
	name = strings.ToLower(string(args[2]))
	if !slices.Contains(replicatedSettings, name) {
		return "", "", fmt.Errorf("CONFIG SET %.60q must not be in the log", name)
	}
	return name, string(args[3]), nil
}

// configure gives the backend the settings that the entries in it have made: a server that was restarted, or whose data
// was replaced, has others. c is in the metadata database.
func (b *Backend) configure(c *conn) error {
	values, err := readSettings(c)
	if err != nil {
		return fmt.Errorf("read the settings that were replicated: %w", err)
	}
	s := nodeSettings{values: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, err := c.one("CONFIG", "SET", name, values[name]); err != nil {
			return fmt.Errorf("CONFIG SET %s, as on the other nodes: %w", name, err)
		}
	}
	raw, err := c.one("CONFIG", "GET", eventsSetting)
	if err != nil {
		return fmt.Errorf("CONFIG GET %s: %w", eventsSetting, err)
	}
	s.events, _ = configValue(raw)
	b.settings = s
	return nil
}

func readSettings(c *conn) (map[string]string, error) {
	raw, err := c.one("HGETALL", settingsKey)
	if err != nil {
		return nil, err
	}
	n, rest, ok := cutHead(raw, '*')
	if !ok || n%2 != 0 {
		return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
	}
	values := make(map[string]string)
	for ; n > 0; n -= 2 {
		var name, value []byte
		if name, rest, ok = cutBulk(rest); !ok {
			return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
		}
		if value, rest, ok = cutBulk(rest); !ok {
			return nil, fmt.Errorf("%w: %.80q", errProtocol, raw)
		}
		if slices.Contains(replicatedSettings, string(name)) {
			values[string(name)] = string(value)
		}
	}
	return values, nil
}

// addSetting keeps a setting that the item before it has made.
func (r *run) addSetting(metadataDB int, cmd []byte) error {
	name, value, err := parseSetting(cmd, r.args)
	if err != nil {
		return err
	}
	r.settings = r.settings.set(name, value)
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
