package redis

import "fmt"

// expireEventScript is expireScript for a backend that sends notifications: it tells of each key that it has expired.
// The channels begin with ARGV[2] (and the key) and are ARGV[3]; an empty one is not used.
const expireEventScript = `local now=tonumber(ARGV[1]) local after={} ` +
	`for i,k in ipairs(KEYS) do local t=redis.call('PEXPIRETIME',k) ` +
	`if t>=0 and t<=now then redis.call('UNLINK',k) t=-2 ` +
	`if ARGV[2]~='' then redis.call('PUBLISH',ARGV[2]..k,'expired') end ` +
	`if ARGV[3]~='' then redis.call('PUBLISH',ARGV[3],k) end ` +
	`end after[i]=t end return after`

// addExpire adds an ItemExpire command. What it does to the data depends on the log alone. But for the backend it
// deletes keys, and where notifications are on, subscribers want to hear that keys have expired: so the backend is made
// silent meanwhile, and the script tells them in its place.
func (r *run) addExpire(it *Item, s slot) error {
	set := r.settings
	toKeys, toEvents, deletions := set.sends("K", 'x'), set.sends("E", 'x'), set.sends("KE", 'g')
	if !toKeys && !toEvents && !deletions {
		r.send(it.Cmd)
		r.slots = append(r.slots, s)
		return nil
	}
	var err error
	if r.args, err = ParseCommand(it.Cmd, r.args); err != nil {
		return err
	}
	if len(r.args) < 4 {
		return fmt.Errorf("the deletion of due keys has %d arguments", len(r.args))
	}
	var keyChannel, eventChannel []byte
	if toKeys {
		keyChannel = fmt.Appendf(nil, "__keyspace@%d__:", it.DB)
	}
	if toEvents {
		eventChannel = fmt.Appendf(nil, "__keyevent@%d__:expired", it.DB)
	}
	r.args[1] = []byte(expireEventScript)
	r.args = append(r.args, keyChannel, eventChannel)
	if deletions {
		r.setEvents("")
	}
	r.send(AppendCommand(nil, r.args...))
	r.slots = append(r.slots, s)
	if deletions {
		r.setEvents(set.events)
	}
	return nil
}
