package wire

import (
	"encoding/binary"
	"strconv"
)

const (
	typeVarString = 253
	charsetUTF8   = 45
	flagNotNull   = 1
)

// Table returns the packets of a result of texts in utf8mb4. With extended, columns have a place for more about their types; with binaryRows, rows are those of
// a prepared statement.
func Table(columns []string, rows [][]string, status uint16, deprecateEOF, extended, binaryRows bool) [][]byte {
	eof := []byte{HeaderEOF, 0, 0, byte(status), byte(status >> 8)}
	packets := [][]byte{{byte(len(columns))}}
	for _, c := range columns {
		packets = append(packets, textColumn(c, extended))
	}
	if !deprecateEOF {
		packets = append(packets, eof)
	}
	for _, row := range rows {
		p := beginRow(len(row), binaryRows)
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

// beginRow is what stands before the values of a row without NULL.
func beginRow(columns int, binaryRow bool) []byte {
	if !binaryRow {
		return nil
	}
	return make([]byte, 1+(columns+7+2)/8)
}

// WarningRow is a row of SHOW WARNINGS.
func WarningRow(level string, code uint16, message string, binaryRow bool) []byte {
	p := appendText(beginRow(3, binaryRow), level)
	if binaryRow {
		p = binary.LittleEndian.AppendUint32(p, uint32(code))
	} else {
		p = appendText(p, strconv.Itoa(int(code)))
	}
	return appendText(p, message)
}

// CountRow is a row of one number of 64 bits.
func CountRow(n uint64, binaryRow bool) []byte {
	if binaryRow {
		return binary.LittleEndian.AppendUint64(beginRow(1, true), n)
	}
	return appendText(nil, strconv.FormatUint(n, 10))
}

func textColumn(name string, extended bool) []byte {
	p := appendText(nil, "def")
	for _, text := range []string{"", "", "", name, ""} { // database, table, its own name, name, its own name
		p = appendText(p, text)
	}
	if extended {
		p = append(p, 0)
	}
	p = append(p, 0x0c)
	p = binary.LittleEndian.AppendUint16(p, charsetUTF8)
	p = binary.LittleEndian.AppendUint32(p, 2048)
	p = append(p, typeVarString)
	p = binary.LittleEndian.AppendUint16(p, flagNotNull)
	return append(p, 0, 0, 0)
}

// RenamedTable is the definition of a column with another name in the place of that of its table.
func RenamedTable(definition []byte, rename map[string]string) []byte {
	rest := definition
	var out []byte
	for i := range 4 { // catalog, database, table, its own name
		text, null, behind, ok := Text(rest)
		if !ok || null {
			return definition
		}
		name := string(text)
		if to, found := rename[name]; found && i >= 2 {
			name = to
		}
		out, rest = appendText(out, name), behind
	}
	return append(out, rest...)
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
