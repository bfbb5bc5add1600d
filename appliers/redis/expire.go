package redis

import (
	"errors"
	"fmt"
	"strconv"
)

// expireScript deletes each of KEYS whose deadline is ARGV[1] or earlier. It returns for each -3 if it
// has, else what PEXPIRETIME says: -2 no such key, -1 no deadline, else the deadline. Nodes of older versions take -3 for -2.
const expireScript = `local now=tonumber(ARGV[1]) local after={} ` +
	`for i,k in ipairs(KEYS) do local t=redis.call('PEXPIRETIME',k) ` +
	`if t>=0 and t<=now then redis.call('UNLINK',k) t=-3 end after[i]=t end return after`

// ExpireItem returns the item that deletes those of keys that are due at nowMillis, the stamp of its entry in
// milliseconds since the epoch. Keys that are not due, or no longer, are left alone. Applied, it corrects Deadlines.
func ExpireItem(nowMillis int64, db int, keys []string) Item {
	args := make([]string, 0, len(keys)+4)
	args = append(args, "EVAL", expireScript, strconv.Itoa(len(keys)))
	args = append(args, keys...)
	args = append(args, strconv.FormatInt(nowMillis+ShiftMillis, 10))
	return Item{DB: db, Flags: ItemExpire, Cmd: appendStrings(nil, args...)}
}

// ExpireKeys returns the keys that an item made by ExpireItem names, given its arguments.
func ExpireKeys(args [][]byte) [][]byte {
	if len(args) < 4 {
		return nil
	}
	return args[3 : len(args)-1]
}

var errExpireReply = errors.New("reply to an expiry item is not what its script returns")

// expiredKey is what the scripts say of a key that they have deleted.
const expiredKey = -3

// expired corrects the index by the raw reply to an ItemExpire command. The caller holds d.mu.
func (d *Deadlines) expired(db int, args [][]byte, reply []byte) error {
	if len(args) < 4 {
		return fmt.Errorf("%w: the item has %d arguments", errExpireReply, len(args))
	}
	keys := ExpireKeys(args)
	now, err := strconv.ParseInt(string(args[len(args)-1]), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: time: %w", errExpireReply, err)
	}
	n, rest, ok := cutHead(reply, '*')
	if !ok || n != len(keys) {
		return fmt.Errorf("%w: %.80q", errExpireReply, reply)
	}
	for _, key := range keys {
		var left int64
		if left, rest, ok = cutInteger(rest); !ok {
			return fmt.Errorf("%w: %.80q", errExpireReply, reply)
		}
		d.releaseUntil(db, string(key), now-ShiftMillis)
		d.stored(db, string(key), left)
		if left == expiredKey {
			d.gone.Add(1)
		}
	}
	return nil
}

// cutInteger takes ":<n>\r\n" off b.
func cutInteger(b []byte) (n int64, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != ':' {
		return 0, b, false
	}
	for end := 1; end+1 < len(b); end++ {
		if b[end] == '\r' {
			n, err := strconv.ParseInt(string(b[1:end]), 10, 64)
			return n, b[end+2:], err == nil && b[end+1] == '\n'
		}
	}
	return 0, b, false
}
