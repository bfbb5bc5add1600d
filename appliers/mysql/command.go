package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of a command: version, kind, then by kind, with integers as unsigned varints and texts after their length:
//
//	rows    epoch, sequence, row events up to the end
//	schema  epoch, number of prelude statements, these, the statement
//	address node, address
//	sequence epoch, database, name, next value and round as signed varints
//	variable epoch, name, value, and a byte if the leader's server has taken it
const commandVersion = 1

type kind byte

const (
	kindRows kind = iota + 1
	kindSchema
	kindAddress
	kindSequence
	kindVariable
)

// Verdict is the first byte of the reply to a command of an epoch.
type Verdict byte

const (
	// Done means that the command had its effect.
	Done Verdict = iota + 1
	// Failed means that the server refused a schema change; the reply goes on as a ServerError.
	Failed
	// Fenced means that the command came into the log in another term than its epoch, and did nothing anywhere.
	Fenced
)

var errCommandShort = errors.New("command ends early")

// command is a decoded command. Its slices share the memory of what was decoded.
type command struct {
	kind     kind
	epoch    uint64
	sequence uint64
	events   []byte
	prelude  []string
	text     string
	node     uint64
	address  string
	variable string
	value    string
	tried    bool
	sequenceState
}

func appendRows(dst []byte, epoch, sequence uint64, events []byte) []byte {
	dst = append(dst, commandVersion, byte(kindRows))
	dst = binary.AppendUvarint(dst, epoch)
	dst = binary.AppendUvarint(dst, sequence)
	return append(dst, events...)
}

// EncodeSchema returns the command that executes text, one statement that changes the schema or accounts, on every
// member. The prelude makes the session in which it is executed like the one that asked for it.
func EncodeSchema(epoch uint64, prelude []string, text string) []byte {
	dst := []byte{commandVersion, byte(kindSchema)}
	dst = binary.AppendUvarint(dst, epoch)
	dst = binary.AppendUvarint(dst, uint64(len(prelude)))
	for _, s := range prelude {
		dst = appendText(dst, s)
	}
	return appendText(dst, text)
}

// EncodeAddress returns the command that lets all members know where the clients of node are served.
func EncodeAddress(node uint64, address string) []byte {
	dst := []byte{commandVersion, byte(kindAddress)}
	dst = binary.AppendUvarint(dst, node)
	return appendText(dst, address)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func decodeCommand(data []byte) (command, error) {
	if len(data) < 2 {
		return command{}, errCommandShort
	}
	if data[0] != commandVersion {
		return command{}, fmt.Errorf("command in the log has version %d: it was written by a newer version, this program reads version %d: start the newer one again, or replace this node", data[0], commandVersion)
	}
	c := command{kind: kind(data[1])}
	d := decoder{rest: data[2:]}
	switch c.kind {
	case kindRows:
		c.epoch, c.sequence = d.number(), d.number()
		c.events = d.rest
	case kindSchema:
		c.epoch = d.number()
		for n := d.number(); n > 0 && d.err == nil; n-- {
			c.prelude = append(c.prelude, d.text())
		}
		c.text = d.text()
	case kindAddress:
		c.node = d.number()
		c.address = d.text()
	case kindSequence:
		c.epoch = d.number()
		c.sequenceState = sequenceState{database: d.text(), name: d.text(), next: d.signed(), round: d.signed()}
	case kindVariable:
		c.epoch = d.number()
		c.variable, c.value = d.text(), d.text()
		c.tried = len(d.rest) > 0
	default:
		return command{}, fmt.Errorf("command in the log has kind %d: it was written by a newer version, this program does not know it: start the newer one again, or replace this node", c.kind)
	}
	return c, d.err
}

// decoder takes values off the front until one is cut short.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.err, d.rest = errCommandShort, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.err, d.rest = errCommandShort, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.err, d.rest = errCommandShort, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// ServerError is what a server answered to a statement.
type ServerError struct {
	Code    uint16
	State   string
	Message string
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("ERROR %d (%s): %s", e.Code, e.State, e.Message)
}

// DecodeReply returns what became of a command of an epoch. The error is a *ServerError if the verdict is Failed.
func DecodeReply(reply []byte) (Verdict, error) {
	if len(reply) == 0 {
		return 0, errors.New("a reply without a verdict")
	}
	v := Verdict(reply[0])
	switch v {
	case Done, Fenced: // after Done, an Answer may follow
		return v, nil
	case Failed:
	default:
		return 0, fmt.Errorf("a reply with verdict %d", v)
	}
	d := decoder{rest: reply[1:]}
	e := &ServerError{Code: uint16(d.number()), State: d.text(), Message: d.text()}
	if d.err != nil {
		return 0, d.err
	}
	return Failed, e
}

// Warning is what a server has noted about a statement that it executed.
type Warning struct {
	Level   string
	Code    uint16
	Message string
}

// Answer is what a server has said about a statement that it executed.
type Answer struct {
	Warnings []Warning
	// Affected rows.
	Affected uint64
	// Checks are the rows of ANALYZE, OPTIMIZE and REPAIR: table, operation, kind of message, message.
	Checks [][4]string
	// Info is what it has said in words, such as how many records it has copied.
	Info string
}

// done is the reply to a statement that was executed.
func done(a Answer) []byte {
	dst := []byte{byte(Done)}
	dst = binary.AppendUvarint(dst, a.Affected)
	dst = appendWarnings(dst, a.Warnings)
	for _, row := range a.Checks {
		for _, text := range row {
			dst = appendText(dst, text)
		}
	}
	if a.Info != "" { // which no three other texts follow
		dst = appendText(dst, a.Info)
	}
	return dst
}

// DecodeAnswer returns the one that a reply of Done carries; an empty one if it carries none.
func DecodeAnswer(reply []byte) (Answer, error) {
	var a Answer
	if len(reply) < 2 {
		return a, nil
	}
	d := decoder{rest: reply[1:]}
	a.Affected = d.number()
	a.Warnings = d.warnings()
	for len(d.rest) > 0 && d.err == nil {
		text := d.text()
		if len(d.rest) == 0 {
			a.Info = text
			break
		}
		a.Checks = append(a.Checks, [4]string{text, d.text(), d.text(), d.text()})
	}
	return a, d.err
}

func appendWarnings(dst []byte, list []Warning) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, w := range list {
		dst = appendText(dst, w.Level)
		dst = binary.AppendUvarint(dst, uint64(w.Code))
		dst = appendText(dst, w.Message)
	}
	return dst
}

func (d *decoder) warnings() (list []Warning) {
	for n := d.number(); n > 0 && d.err == nil; n-- {
		list = append(list, Warning{Level: d.text(), Code: uint16(d.number()), Message: d.text()})
	}
	return list
}

// WarningsOf returns what the server has noted about a statement with the error that a reply of Failed carries, the error among it; nothing
// where the reply does not say.
func WarningsOf(reply []byte) []Warning {
	if len(reply) == 0 || Verdict(reply[0]) != Failed {
		return nil
	}
	d := decoder{rest: reply[1:]}
	d.number()
	d.text()
	d.text()
	if d.err != nil || len(d.rest) == 0 {
		return nil
	}
	list := d.warnings()
	if d.err != nil {
		return nil
	}
	return list
}

// failure is the reply for an error that is a *ServerError.
func failure(err error) []byte {
	var e *ServerError
	if !errors.As(err, &e) {
		e = &ServerError{Code: 1105, State: "HY000", Message: err.Error()}
	}
	dst := []byte{byte(Failed)}
	dst = binary.AppendUvarint(dst, uint64(e.Code))
	dst = appendText(dst, e.State)
	return appendText(dst, e.Message)
}
