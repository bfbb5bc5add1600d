package redis

import (
	"bytes"
	"strconv"
	"strings"
)

// outcome of a command, as far as its effect on deadlines goes.
type outcome uint8

const (
	outcomeUnknown outcome = iota // the connection broke before the reply
	outcomeDone
	outcomeFailed // answered with an error: it had no effect
)

// command brings the index up to date with one ItemDeadline command that was applied to db. Where the effect depends on
// what only Redis knows (conditions, lost replies), the index gets what is earlier. The caller holds d.mu.
func (d *Deadlines) command(db int, args [][]byte, how outcome) {
	if len(args) == 0 {
		return
	}
	switch strings.ToUpper(string(args[0])) {
	case "SET":
		d.set(db, args, how)
	case "GETEX":
		if deadline, _, ok := deadlineOption(args, 2); ok {
			d.release(db, string(args[1]), deadline)
			if how != outcomeFailed {
				d.lower(db, string(args[1]), deadline)
			}
		}
	case "PEXPIREAT":
		if len(args) < 3 {
			return
		}
		deadline, ok := logical(args[2])
		// Without conditions the key has this deadline now, or there is no such key.
		d.given(db, args[1], deadline, ok, len(args) == 3, how)
	case "RESTORE":
		d.restore(db, args, how)
	case "RENAME", "RENAMENX":
		if len(args) == 3 {
			d.carry(db, args[1], db, args[2], how)
		}
	case "COPY":
		d.copyKey(db, args, how)
	case "MOVE":
		if len(args) != 3 {
			return
		}
		if to, err := strconv.Atoi(string(args[2])); err == nil && to >= 0 {
			d.carry(db, args[1], to, args[1], how)
		}
	case "SWAPDB":
		d.swapDB(args, how)
	case "FLUSHDB":
		if how == outcomeDone {
			d.clear(db)
		}
	case "FLUSHALL":
		if how == outcomeDone {
			d.clearAll()
		}
	}
}

// given is the common part of commands that name a key and its deadline. exact says that the command, when it did not
// fail, left the key with this deadline whatever the key was before.
func (d *Deadlines) given(db int, key []byte, deadline int64, ok, exact bool, how outcome) {
	if !ok {
		return
	}
	d.release(db, string(key), deadline)
	switch {
	case how == outcomeFailed:
	case how == outcomeDone && exact:
		d.put(db, string(key), deadline)
	default:
		d.lower(db, string(key), deadline)
	}
}

func (d *Deadlines) set(db int, args [][]byte, how outcome) {
	deadline, conditions, ok := deadlineOption(args, 3)
	if ok {
		d.given(db, args[1], deadline, ok, !conditions, how)
	}
}

// deadlineOption looks for PXAT among the options that start at args[from]. conditions is true if there is any option
// by which the command may do nothing.
func deadlineOption(args [][]byte, from int) (deadline int64, conditions, ok bool) {
	for i := from; i < len(args); i++ {
		switch {
		case bytes.EqualFold(args[i], []byte("PXAT")) && i+1 < len(args):
			deadline, ok = logical(args[i+1])
			i++
		case bytes.EqualFold(args[i], []byte("GET")):
		default:
			conditions = true
		}
	}
	return deadline, conditions, ok
}

func (d *Deadlines) restore(db int, args [][]byte, how outcome) {
	if len(args) < 5 {
		return
	}
	for _, option := range args[4:] {
		if bytes.EqualFold(option, []byte("ABSTTL")) {
			deadline, ok := logical(args[2])
			d.given(db, args[1], deadline, ok, true, how)
			return
		}
	}
}

func (d *Deadlines) copyKey(db int, args [][]byte, how outcome) {
	if len(args) < 3 {
		return
	}
	to := db
	for i := 3; i+1 < len(args); i++ {
		if !bytes.EqualFold(args[i], []byte("DB")) {
			continue
		}
		n, err := strconv.Atoi(string(args[i+1]))
		if err != nil || n < 0 {
			return
		}
		to = n
		i++
	}
	d.carry(db, args[1], to, args[2], how)
}

// carry gives a destination the deadline of its source. The source keeps its own: it may not have moved.
func (d *Deadlines) carry(fromDB int, from []byte, toDB int, to []byte, how outcome) {
	deadline := d.appliedDeadline(fromDB, string(from))
	if deadline == never {
		return
	}
	d.release(toDB, string(to), deadline)
	if how != outcomeFailed {
		d.lower(toDB, string(to), deadline)
	}
}

func (d *Deadlines) swapDB(args [][]byte, how outcome) {
	if len(args) != 3 || how == outcomeFailed {
		return
	}
	a, errA := strconv.Atoi(string(args[1]))
	b, errB := strconv.Atoi(string(args[2]))
	if errA != nil || errB != nil || a < 0 || b < 0 {
		return
	}
	if how == outcomeDone {
		d.swap(a, b)
		return
	}
	d.mix(a, b)
}

// logical turns a deadline as Redis stores it into one of the clock. A stored one below ShiftMillis is long past for
// Redis too: the key is gone.
func logical(stored []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(stored), 10, 64)
	if err != nil || n < ShiftMillis {
		return 0, false
	}
	return n - ShiftMillis, true
}

// stored takes what PEXPIRETIME says about a key: -2 no such key, -1 no deadline, else the deadline.
func (d *Deadlines) stored(db int, key string, pexpiretime int64) {
	if pexpiretime < ShiftMillis {
		d.drop(db, key)
		return
	}
	d.put(db, key, pexpiretime-ShiftMillis)
}
