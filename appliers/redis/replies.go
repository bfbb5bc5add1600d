package redis

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// queueError says that the server refused a command when it was queued, and therefore executed nothing.
type queueError struct{ command, text string }

func (e *queueError) Error() string {
	return fmt.Sprintf("backend refused %s (nothing was applied): %s", e.command, e.text)
}

// Is makes BUSY known to who would wait for that.
func (e *queueError) Is(target error) bool {
	return target == errBusy && strings.HasPrefix(e.text, "BUSY ")
}

// runError says that a transaction did not go as it must.
type runError struct {
	text     string
	watched  bool // the marker was changed by somebody else before, and nothing was executed
	diverged bool // something was executed that other nodes did not execute in the same way
}

func (e *runError) Error() string { return e.text }

// read reads the replies to a run. held is the marker that the transaction must have replaced. Errors are *queueError,
// *runError, or of the connection.
func (r *run) read(in *replyReader, held string, limit int) error {
	line, err := in.line()
	if err != nil {
		return err
	}
	if string(line) != "+OK\r\n" {
		// Without MULTI the commands were executed one by one, or refused one by one.
		return &runError{text: "MULTI was answered with " + errorText(line), diverged: true}
	}
	refused, err := r.readQueued(in)
	if err != nil {
		return err
	}
	line, err = in.line()
	if err != nil {
		return err
	}
	var broken *runError
	switch {
	case line[0] == '-':
		if refused == nil {
			refused = &queueError{"EXEC", ""}
		}
		if errorClass(line) != "EXECABORT" {
			return &runError{text: "EXEC was answered with " + errorText(line), diverged: true}
		}
		if refused.text == "" {
			refused.text = errorText(line)
		}
	case bytes.Equal(line, []byte("*-1\r\n")):
		broken = &runError{text: "EXEC found the position changed", watched: true}
	default:
		n, err := lineNumber(line)
		if err != nil || line[0] != '*' {
			return fmt.Errorf("EXEC: %w: %.40q", errProtocol, line)
		}
		if refused != nil || n != len(r.slots)-r.joined {
			return &runError{text: fmt.Sprintf("EXEC executed %d of %d commands: %v", n, len(r.slots)-r.joined, refused), diverged: true}
		}
		if broken, err = r.readResults(in, held, limit); err != nil {
			return err
		}
	}
	// The watch that covers the time until the next transaction.
	if line, err = in.line(); err != nil {
		return err
	}
	if broken != nil {
		return broken
	}
	if string(line) != "+OK\r\n" {
		return &runError{text: "WATCH was answered with " + errorText(line)}
	}
	if refused != nil {
		return refused
	}
	return nil
}

// readQueued reads what was answered when the commands were queued, and returns the first refusal.
func (r *run) readQueued(in *replyReader) (*queueError, error) {
	var refused *queueError
	for i := range r.slots {
		if r.slots[i].joins {
			continue
		}
		line, err := in.line()
		if err != nil {
			return nil, err
		}
		switch {
		case line[0] == '-':
			if refused == nil {
				refused = &queueError{r.name(&r.slots[i]), errorText(line)}
			}
		case string(line) != "+QUEUED\r\n":
			return nil, fmt.Errorf("queue %s: %w: %.40q", r.name(&r.slots[i]), errProtocol, line)
		}
	}
	return refused, nil
}

// readResults reads the elements of the reply to EXEC. broken is the first that must never be.
func (r *run) readResults(in *replyReader, held string, limit int) (broken *runError, err error) {
	failed := false // the command that a SET may join
	for i := range r.slots {
		s := &r.slots[i]
		if s.joins {
			if r.joinResult(s); failed && broken == nil {
				broken = &runError{text: "MSET was answered with an error", diverged: true}
			}
			continue
		}
		first, err := in.peek()
		if err != nil {
			return nil, err
		}
		s.failed = first == '-'
		failed = s.failed
		raw, err := r.readResult(in, s, limit)
		if err != nil {
			return nil, err
		}
		if broken == nil {
			broken = r.judge(s, raw, held)
		}
	}
	return broken, nil
}

// readResult reads one element: into keep if somebody waits for it, else into scratch if it must be looked at, else
// nowhere. It returns what was kept.
func (r *run) readResult(in *replyReader, s *slot, limit int) ([]byte, error) {
	look := s.failed || s.kind != slotItem || s.flags&(ItemExpire|ItemEvict) != 0
	if s.want >= 0 && !r.wants[s.want].lost {
		w := &r.wants[s.want]
		if w.end == 0 {
			w.start = len(r.keep)
		}
		start := len(r.keep)
		var kept bool
		var err error
		if r.keep, kept, err = in.keep(r.keep, limit); err != nil {
			return nil, err
		}
		w.end = len(r.keep)
		if !kept {
			w.lost = true
			r.keep = r.keep[:w.start]
		}
		if look {
			s.reply = append([]byte(nil), r.keep[min(start, len(r.keep)):]...)
		}
		return s.reply, nil
	}
	if !look {
		return nil, in.skip()
	}
	var err error
	if r.scratch, _, err = in.keep(r.scratch[:0], math.MaxInt); err != nil {
		return nil, err
	}
	if s.kind == slotProbe || s.kind == slotDeadlines || s.flags&(ItemExpire|ItemEvict) != 0 {
		s.reply = append([]byte(nil), r.scratch...)
	}
	return r.scratch, nil
}

// judge returns a *runError if the result of a command shows that the state is not a function of the log any more.
func (r *run) judge(s *slot, raw []byte, held string) *runError {
	switch {
	case s.kind == slotMarker:
		return r.judgeMarker(raw, held)
	case !s.failed:
		return nil
	case s.kind == slotFlush && !isMachineError(raw):
		// All of them fail, on the options.
		return nil
	case s.kind != slotItem:
		return &runError{text: r.name(s) + " inside of a transaction was answered with " + errorText(raw), diverged: true}
	case s.flags&ItemExpire != 0:
		return &runError{text: "the deletion of due keys was answered with " + errorText(raw), diverged: true}
	case s.flags&ItemEvict != 0:
		return &runError{text: "an eviction was answered with " + errorText(raw), diverged: true}
	case s.flags&ItemUsers != 0:
		return judgeUsers(raw)
	case r.name(s) == "CONFIG":
		// Its values were checked by the node that took it.
		return &runError{text: fmt.Sprintf("CONFIG SET was answered with %s", errorText(raw)), diverged: true}
	case !s.script && isMachineError(raw):
		return &runError{
			text:     fmt.Sprintf("%s was refused in the middle of a transaction for a reason of the machine: %s", r.name(s), errorText(raw)),
			diverged: true,
		}
	default:
		return nil
	}
}

func (r *run) judgeMarker(raw []byte, held string) *runError {
	old, found, err := bulkText(raw)
	switch {
	case err != nil:
		return &runError{text: fmt.Sprintf("%s could not be written: %s", markerKey, err), diverged: true}
	case found && string(old) == held:
		return nil
	}
	is := "gone"
	if found {
		is = fmt.Sprintf("%.200q", old)
	}
	return &runError{text: fmt.Sprintf("another writer on this backend: %s was %q, and is %s", markerKey, held, is), diverged: true}
}

// answer hands the kept replies to the commands that wait and returns the number of commands applied.
func (r *run) answer() int {
	for i := range r.wants {
		w := &r.wants[i]
		if w.lost {
			w.cmd.Err = fmt.Errorf("%w: it is larger than what may be kept", raft.ErrReplyLost)
			continue
		}
		w.cmd.Reply = r.keep[w.start:w.end:w.end]
		if w.cmd.Reply == nil {
			w.cmd.Reply = []byte{}
		}
	}
	r.keep = nil
	return r.commands
}

// index brings the deadlines up to date after a transaction whose replies were read.
func (r *run) index(d *Deadlines) error {
	if !r.indexed {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range r.slots {
		s := &r.slots[i]
		var err error
		switch {
		case s.kind == slotProbe:
			n, _, ok := cutInteger(s.reply)
			if !ok {
				return fmt.Errorf("PEXPIRETIME was answered with %.40q", s.reply)
			}
			d.stored(s.db, string(s.key), n)
		case s.kind == slotDeadlines && !s.failed:
			if err := d.reported(s.reply); err != nil {
				return err
			}
		case s.kind != slotItem:
		case s.flags&ItemExpire != 0 && len(s.reply) == 0: // too large to be kept: nothing is corrected
		case s.flags&ItemExpire != 0:
			if r.args, err = ParseCommand(s.cmd, r.args); err != nil {
				return err
			}
			if err := d.expired(s.db, r.args, s.reply); err != nil {
				return err
			}
		case s.flags&ItemEvict != 0 && len(s.reply) == 0: // too large to be kept, with what stands before it
		case s.flags&ItemEvict != 0:
			if r.args, err = ParseCommand(s.cmd, r.args); err != nil {
				return err
			}
			n, err := d.evicted(s.db, r.args, s.reply)
			if err != nil {
				return err
			}
			r.evicted += n
		case s.flags&ItemDeadline != 0:
			how := outcomeDone
			if s.failed {
				how = outcomeFailed
			}
			if r.args, err = ParseCommand(s.cmd, r.args); err != nil {
				return err
			}
			d.command(s.db, r.args, how)
		}
	}
	return nil
}

// unsure brings the deadlines to a state that is right whether or not the transaction was executed, and returns the keys
// whose deadlines must be asked for when that is known; all is true if nobody knows which keys these are.
func (r *run) unsure(d *Deadlines) (probes []probe, all bool) {
	if !r.indexed {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range r.slots {
		s := &r.slots[i]
		switch {
		case s.kind == slotProbe:
			probes = append(probes, probe{s.db, string(s.key)})
		case s.kind == slotDeadlines:
			all = true
		case s.kind == slotItem && s.flags&ItemDeadline != 0:
			var err error
			if r.args, err = ParseCommand(s.cmd, r.args); err == nil {
				d.command(s.db, r.args, outcomeUnknown)
			}
		}
	}
	return probes, all
}
