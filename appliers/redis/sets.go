package redis

import "bytes"

// Consecutive SETs without options, of which most writes consist where there are many, go to the server as one MSET. It
// does the same to the data, and tells subscribers the same, but is queued, executed and answered once: in a transaction
// that is half of what a SET costs the server. How many are put together changes nothing, so members may differ in it.

const (
	plainSet = "*3\r\n$3\r\nSET\r\n"
	// maxSets is how many SETs become one MSET.
	maxSets = 128
)

// setOperands returns what MSET is to get of a SET without options: key and value, encoded.
func setOperands(cmd, name []byte) (operands []byte, ok bool) {
	if len(cmd) >= bigCommand || !bytes.HasPrefix(cmd, []byte("*3\r\n$3\r\n")) || !bytes.EqualFold(name, []byte("SET")) {
		return nil, false
	}
	return cmd[len(plainSet):], true
}

// addSet adds a SET to those that go out together. The reply to it is the same in all protocols.
func (r *run) addSet(it *Item, item slot, operands []byte) {
	if len(r.sets) >= maxSets || r.db != it.DB {
		r.flushSets()
	}
	r.sel(it.DB, slotSelect)
	if len(r.sets) > 0 {
		item.joins = true
		r.joined++
	}
	r.sets = append(r.sets, operands)
	r.slots = append(r.slots, item)
}

// flushSets sends the SETs that were added. It comes before whatever else is sent.
func (r *run) flushSets() {
	switch len(r.sets) {
	case 0:
		return
	case 1:
		r.out = append(r.out, plainSet...)
	default:
		r.out = appendHead(r.out, '*', 1+2*len(r.sets))
		r.out = append(r.out, "$4\r\nMSET\r\n"...)
	}
	for _, operands := range r.sets {
		r.send(operands)
	}
	r.sets = r.sets[:0]
}

const replyOK = "+OK\r\n"

// joinResult is readResult for a SET that has no reply of its own. Its MSET was executed: anything but OK was noticed.
func (r *run) joinResult(s *slot) {
	if s.want < 0 || r.wants[s.want].lost {
		return
	}
	w := &r.wants[s.want]
	if w.end == 0 {
		w.start = len(r.keep)
	}
	r.keep = append(r.keep, replyOK...)
	w.end = len(r.keep)
}
