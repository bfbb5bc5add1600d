package mysql

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// stream calls row for each row that text selects, with its values as the protocol has them. A large table is not held
// in memory, and its rows are not taken apart.
func (k *conn) stream(ctx context.Context, text string, columns int, row func([]byte) error) error {
	defer k.until(ctx)()
	k.c.ResetSequence()
	packet := make([]byte, 5, 5+len(text)) // the library fills in the header
	packet[4] = 3                          // COM_QUERY
	if err := k.c.WritePacket(append(packet, text...)); err != nil {
		return err
	}
	ends := 0 // of the columns, then of the rows
	for first := true; ends < 2; first = false {
		p, err := k.c.ReadPacket()
		switch {
		case err != nil:
			return err
		case len(p) == 0:
			return errors.New("an empty packet of the server")
		case p[0] == 0xff:
			return packetError(p)
		case first && int(p[0]) != columns && p[0] < 0xfb:
			return fmt.Errorf("%d columns, want %d", p[0], columns)
		case p[0] == 0xfe && len(p) < 9:
			ends++
		case ends == 1:
			if err := row(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func packetError(p []byte) error {
	if len(p) < 9 {
		return errors.New("the server refused without saying why")
	}
	return &ServerError{Code: binary.LittleEndian.Uint16(p[1:]), State: string(p[4:9]), Message: string(p[9:])}
}

// value takes a length-encoded text, or NULL, off the front of row.
func value(row []byte) (text []byte, null bool, rest []byte, err error) {
	if len(row) == 0 {
		return nil, false, nil, errRowShort
	}
	size, head := uint64(row[0]), 1
	switch {
	case row[0] == 0xfb:
		return nil, true, row[1:], nil
	case row[0] == 0xfc && len(row) > 2:
		size, head = uint64(binary.LittleEndian.Uint16(row[1:])), 3
	case row[0] == 0xfd && len(row) > 3:
		size, head = uint64(row[1])|uint64(row[2])<<8|uint64(row[3])<<16, 4
	case row[0] == 0xfe && len(row) > 8:
		size, head = binary.LittleEndian.Uint64(row[1:]), 9
	case row[0] > 0xfb:
		return nil, false, nil, errRowShort
	}
	if size > uint64(len(row)-head) {
		return nil, false, nil, errRowShort
	}
	return row[head : head+int(size)], false, row[head+int(size):], nil
}

var errRowShort = errors.New("a row ends early")

// snapshotReader reads the records of a snapshot.
type snapshotReader struct {
	r *bufio.Reader
}

// maxRecord bounds what a damaged length can ask for.
const maxRecord = 1 << 30

func readSnapshot(data io.Reader) (*snapshotReader, error) {
	s := &snapshotReader{bufio.NewReaderSize(data, 256<<10)}
	kind, version, err := s.next()
	if err != nil {
		return nil, err
	}
	if kind != recordVersion || string(version) != snapshotVersion {
		return nil, fmt.Errorf("snapshot has version %q: it was written by a newer version, this program reads %s: start the newer one again, or replace this node", version, snapshotVersion)
	}
	return s, nil
}

func (s *snapshotReader) next() (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read the snapshot: %w", noEOF(err))
	}
	size := binary.LittleEndian.Uint32(head[1:])
	if size > maxRecord {
		return 0, nil, fmt.Errorf("read the snapshot: a record of %d bytes", size)
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(s.r, data); err != nil {
		return 0, nil, fmt.Errorf("read the snapshot: %w", noEOF(err))
	}
	return head[0], data, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// each calls the functions for what the snapshot holds, in order. Rows are those of the table given last.
func (s *snapshotReader) each(onObject func(*object) error, onTable func(*table) error, onRows func(*table, []byte) error) error {
	var t *table
	for {
		kind, data, err := s.next()
		if err != nil {
			return err
		}
		switch kind {
		case recordObject:
			o := new(object)
			if err = json.Unmarshal(data, o); err == nil {
				err = onObject(o)
			}
		case recordTable:
			t = new(table)
			if err = json.Unmarshal(data, t); err == nil {
				err = onTable(t)
			}
		case recordRows:
			if t == nil {
				return errors.New("rows of no table in the snapshot")
			}
			err = onRows(t, data)
		case recordEnd:
			return nil
		default:
			return fmt.Errorf("a record of kind %d in the snapshot, which this program does not know", kind)
		}
		if err != nil {
			return err
		}
	}
}
