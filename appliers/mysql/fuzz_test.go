package mysql

import "testing"

// FuzzDecodeCommand is what an entry of the log could hold.
func FuzzDecodeCommand(f *testing.F) {
	f.Add(appendRows(nil, 1, 2, []byte("events")))
	f.Add(EncodeSchema(1, []string{"SET sql_mode = ''"}, "CREATE TABLE t (a int)"))
	f.Add(EncodeAddress(1, "10.0.0.1:3306"))
	f.Add(EncodeVariable(1, "max_connections", "500", true))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCommand(data)
		if err != nil {
			return
		}
		var again []byte
		switch c.kind {
		case kindRows:
			again = appendRows(nil, c.epoch, c.sequence, c.events)
		case kindSchema:
			again = EncodeSchema(c.epoch, c.prelude, c.text)
		case kindAddress:
			again = EncodeAddress(c.node, c.address)
		case kindVariable:
			again = EncodeVariable(c.epoch, c.variable, c.value, c.tried)
		default:
			return
		}
		if _, err := decodeCommand(again); err != nil {
			t.Errorf("%q does not decode again: %v", data, err)
		}
		_, _ = DecodeReply(data)
		_, _ = parseXID(string(data))
	})
}
