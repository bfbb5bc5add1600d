package wire

import "encoding/binary"

// Column of a Table.
type Column struct {
	Name   string
	Number bool // an integer, else a text in utf8mb4
}

const (
	typeLong      = 3
	typeVarString = 253
	charsetUTF8   = 45
	charsetBinary = 63
	flagNotNull   = 1
)

// Table returns the packets of a result of text rows. With extended, columns have a place for more about their types.
func Table(columns []Column, rows [][]string, status uint16, deprecateEOF, extended bool) [][]byte {
	eof := []byte{HeaderEOF, 0, 0, byte(status), byte(status >> 8)}
	packets := [][]byte{{byte(len(columns))}}
	for _, c := range columns {
		packets = append(packets, c.packet(extended))
	}
	if !deprecateEOF {
		packets = append(packets, eof)
	}
	for _, row := range rows {
		var p []byte
		for _, value := range row {
			p = appendText(p, value)
		}
		packets = append(packets, p)
	}
	if deprecateEOF {
		eof = OK(status)
		eof[0] = HeaderEOF
	}
	return append(packets, eof)
}

func (c *Column) packet(extended bool) []byte {
	p := appendText(nil, "def")
	for _, text := range []string{"", "", "", c.Name, ""} { // database, table, its own name, name, its own name
		p = appendText(p, text)
	}
	if extended {
		p = append(p, 0)
	}
	kind, charset, size, flags := byte(typeVarString), uint16(charsetUTF8), uint32(2048), uint16(flagNotNull)
	if c.Number {
		kind, charset, size = typeLong, charsetBinary, 11
	}
	p = append(p, 0x0c)
	p = binary.LittleEndian.AppendUint16(p, charset)
	p = binary.LittleEndian.AppendUint32(p, size)
	p = append(p, kind)
	p = binary.LittleEndian.AppendUint16(p, flags)
	return append(p, 0, 0, 0)
}

// appendText appends a length-encoded text.
func appendText(dst []byte, s string) []byte {
	return append(AppendLenenc(dst, uint64(len(s))), s...)
}

// AppendLenenc appends a length-encoded integer.
func AppendLenenc(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
}

// IsNumber reports whether the definition of a column is that of numbers.
func IsNumber(definition []byte) bool {
	switch ColumnType(definition) {
	case 0, 1, 2, 3, 4, 5, 8, 9, 246: // DECIMAL, TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, NEWDECIMAL
		return true
	}
	return false
}

// ColumnName is the name of a column, which stands behind those of its catalog, database, and table, twice.
func ColumnName(definition []byte) string {
	for range 4 {
		_, _, rest, ok := Text(definition)
		if !ok {
			return ""
		}
		definition = rest
	}
	name, _, _, _ := Text(definition)
	return string(name)
}
