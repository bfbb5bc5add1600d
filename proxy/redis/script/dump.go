package script

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"strconv"
)

// A payload of FUNCTION DUMP is a piece of an RDB: for each library an opcode and its code as a string, then the version
// of the format and a checksum.
const (
	opcodeFunction    = 245
	opcodeOldFunction = 246
	dumpVersion       = 10
	dumpEnd           = 2 + 8
)

var dumpTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// dumpSum is the checksum as Redis computes it: without the complements of hash/crc64.
func dumpSum(b []byte) uint64 { return ^crc64.Update(^uint64(0), dumpTable, b) }

func appendDump(dst []byte, codes [][]byte) []byte {
	start := len(dst)
	for _, code := range codes {
		dst = append(dst, opcodeFunction)
		switch n := len(code); {
		case n < 1<<6:
			dst = append(dst, byte(n))
		case n < 1<<14:
			dst = append(dst, byte(n>>8)|0x40, byte(n))
		default:
			dst = append(dst, 0x80)
			dst = binary.BigEndian.AppendUint32(dst, uint32(n)) // an argument is no longer than 512 MB
		}
		dst = append(dst, code...)
	}
	dst = binary.LittleEndian.AppendUint16(dst, dumpVersion)
	return binary.LittleEndian.AppendUint64(dst, dumpSum(dst[start:]))
}

var errDump = errors.New("cut short")

// decodeDump returns the code of the libraries in a payload, also in one of a Redis without this program. errText is the
// error of Redis.
func decodeDump(b []byte) (codes [][]byte, errText string) {
	if len(b) < dumpEnd || binary.LittleEndian.Uint64(b[len(b)-8:]) != dumpSum(b[:len(b)-8]) {
		return nil, "ERR DUMP payload version or checksum are wrong"
	}
	b = b[:len(b)-dumpEnd]
	for len(b) > 0 {
		switch b[0] {
		case opcodeFunction:
		case opcodeOldFunction:
			return nil, "ERR Pre-GA function format not supported"
		default:
			return nil, "ERR given type is not a function"
		}
		code, rest, err := cutString(b[1:])
		if err != nil {
			return nil, "ERR Failed loading library code"
		}
		codes, b = append(codes, code), rest
	}
	return codes, ""
}

// cutString takes a string as an RDB has it off b.
func cutString(b []byte) (s, rest []byte, err error) {
	n, encoded, b, err := cutLength(b)
	if err != nil {
		return nil, nil, err
	}
	if !encoded {
		if n > uint64(len(b)) {
			return nil, nil, errDump
		}
		return b[:n], b[n:], nil
	}
	switch size := 1 << n; n {
	case 0, 1, 2: // an integer of 8, 16 or 32 bits
		if len(b) < size {
			return nil, nil, errDump
		}
		var v int64
		switch n {
		case 0:
			v = int64(int8(b[0]))
		case 1:
			v = int64(int16(binary.LittleEndian.Uint16(b)))
		default:
			v = int64(int32(binary.LittleEndian.Uint32(b)))
		}
		return strconv.AppendInt(nil, v, 10), b[size:], nil
	case 3:
		return cutCompressed(b)
	}
	return nil, nil, errDump
}

// cutLength takes a length off b, or the kind of an encoding.
func cutLength(b []byte) (n uint64, encoded bool, rest []byte, err error) {
	if len(b) == 0 {
		return 0, false, nil, errDump
	}
	low := uint64(b[0] & 0x3f)
	switch {
	case b[0]>>6 == 0:
		return low, false, b[1:], nil
	case b[0]>>6 == 1 && len(b) >= 2:
		return low<<8 | uint64(b[1]), false, b[2:], nil
	case b[0] == 0x80 && len(b) >= 5:
		return uint64(binary.BigEndian.Uint32(b[1:])), false, b[5:], nil
	case b[0] == 0x81 && len(b) >= 9:
		return binary.BigEndian.Uint64(b[1:]), false, b[9:], nil
	case b[0]>>6 == 3:
		return low, true, b[1:], nil
	}
	return 0, false, nil, errDump
}

// maxCode bounds what a compressed library may become.
const maxCode = 512 << 20

// cutCompressed takes a string in LZF off b.
func cutCompressed(b []byte) (s, rest []byte, err error) {
	packed, _, b, err := cutLength(b)
	if err != nil {
		return nil, nil, err
	}
	size, _, b, err := cutLength(b)
	if err != nil || packed > uint64(len(b)) || size > maxCode {
		return nil, nil, errDump
	}
	s, err = unpack(b[:packed], int(size))
	return s, b[packed:], err
}

// unpack decompresses LZF: runs of literals, and copies of what was written before.
func unpack(b []byte, size int) ([]byte, error) {
	out := make([]byte, 0, min(size, 64*len(b)))
	for len(b) > 0 {
		control := int(b[0])
		b = b[1:]
		if control < 32 {
			n := control + 1
			if n > len(b) {
				return nil, errDump
			}
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		n := control >> 5
		if n == 7 {
			if len(b) == 0 {
				return nil, errDump
			}
			n += int(b[0])
			b = b[1:]
		}
		if len(b) == 0 {
			return nil, errDump
		}
		from := len(out) - (control&0x1f)<<8 - int(b[0]) - 1
		b = b[1:]
		if from < 0 || len(out)+n+2 > size {
			return nil, errDump
		}
		for i := range n + 2 {
			out = append(out, out[from+i])
		}
	}
	if len(out) != size {
		return nil, errDump
	}
	return out, nil
}
