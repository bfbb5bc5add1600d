package redis

import "fmt"

// expireEventScript is expireScript for a backend that sends notifications: it tells of each key that it has expired.
// The channels begin with ARGV[2] (and the key) and are ARGV[3]; an empty one is not used.
const expireEventScript = `local now=tonumber(ARGV[1]) local after={} ` +
	`for i,k in ipairs(KEYS) do local t=redis.call('PEXPIRETIME',k) ` +
	`if t>=0 and t<=now then redis.call('UNLINK',k) t=-3 ` +
	`if ARGV[2]~='' then redis.call('PUBLISH',ARGV[2]..k,'expired') end ` +
	`if ARGV[3]~='' then redis.call('PUBLISH',ARGV[3],k) end ` +
	`end after[i]=t end return after`

// addExpire adds an ItemExpire command. What it does to the data depends on the log alone. But for the backend it
// deletes keys, and where notifications are on, subscribers want to hear that keys have expired: so the backend is made
// silent meanwhile, and the script tells them in its place.
func (r *run) addExpire(it *Item, s slot) error {
	toKey, toEvent := r.settings.channels(it.DB, 'x', "expired")
	if toKey == nil && toEvent == nil {
		r.sendSilently(it.Cmd, s)
		return nil
	}
	var err error
	if r.args, err = ParseCommand(it.Cmd, r.args); err != nil {
		return err
	}
	if len(r.args) < 4 {
		return fmt.Errorf("the deletion of due keys has %d arguments", len(r.args))
	}
	r.args[1] = []byte(expireEventScript)
	r.args = append(r.args, toKey, toEvent)
	r.sendSilently(AppendCommand(nil, r.args...), s)
	return nil
}

// channels returns where subscribers want to hear of an event of a class: at a channel that begins so and ends with the
// key, and at one channel for all keys. One that nobody may hear is nil.
func (s nodeSettings) channels(db int, class byte, event string) (ofKey, ofEvent []byte) {
	if s.sends("K", class) {
		ofKey = fmt.Appendf(nil, "__keyspace@%d__:", db)
	}
	if s.sends("E", class) {
		ofEvent = fmt.Appendf(nil, "__keyevent@%d__:%s", db, event)
	}
	return ofKey, ofEvent
}

// sendSilently adds a command that deletes keys for another reason than a client's, of which the backend must not tell.
func (r *run) sendSilently(cmd []byte, s slot) {
	deletions := r.settings.sends("KE", 'g')
	if deletions {
		r.setEvents("")
	}
	r.send(cmd)
	r.slots = append(r.slots, s)
	if deletions {
		r.setEvents(r.settings.events)
	}
}
