package wire

import (
	"encoding/binary"
	"strconv"
)

// typeNull is of columns without any value.
const typeNull = 6

// ColumnType is the number of a column's type, as its definition has it.
func ColumnType(definition []byte) byte {
	const behind = 6 // type, flags, decimals and two bytes more are last, whatever comes before
	if len(definition) < behind {
		return typeNull
	}
	return definition[len(definition)-behind]
}

// BinaryRow returns the values of a row that answers a prepared statement, of columns of these types, as texts. NULL is the empty text. ok is false
// for a row that ends early, and for columns of other types than texts and whole numbers.
func BinaryRow(p, types []byte) (values []string, ok bool) {
	nulls := (len(types) + 7 + 2) / 8
	if len(p) < 1+nulls || p[0] != HeaderOK {
		return nil, false
	}
	bitmap, rest := p[1:1+nulls], p[1+nulls:]
	for i, t := range types {
		value := ""
		if bit := i + 2; bitmap[bit/8]&(1<<(bit%8)) == 0 {
			if value, rest, ok = binaryValue(t, rest); !ok {
				return nil, false
			}
		}
		values = append(values, value)
	}
	return values, true
}

func binaryValue(t byte, p []byte) (value string, rest []byte, ok bool) {
	size := 0
	switch t {
	case 1: // TINY
		size = 1
	case 2, 13: // SHORT, YEAR
		size = 2
	case 3, 9: // LONG, INT24
		size = 4
	case 8: // LONGLONG
		size = 8
	case 0, 15, 246, 249, 250, 251, 252, 253, 254: // DECIMAL, VARCHAR, NEWDECIMAL, blobs, VAR_STRING, STRING
		text, null, rest, ok := Text(p)
		return string(text), rest, ok && !null
	}
	if size == 0 || len(p) < size {
		return "", nil, false
	}
	var number [8]byte
	copy(number[:], p[:size])
	return strconv.FormatUint(binary.LittleEndian.Uint64(number[:]), 10), p[size:], true
}
