package mysql

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	checksumSize  = 4
	checksumCRC32 = 1 // before the checksum of the event that describes the file, which always has one
	eventSizeAt   = 9 // of its size in the header of an event
)

// withoutChecksum returns an event as it is in a file without checksums, as checkServer asks for. A server that was restarted by
// others writes a file with them before it is asked again.
func (c *capture) withoutChecksum(raw []byte) []byte {
	end := len(raw) - checksumSize
	switch {
	case end <= eventHeader:
	case raw[4] == eventFormat:
		if c.checksums = raw[end-1] == checksumCRC32; c.checksums {
			raw = bytes.Clone(raw)
			raw[end-1] = 0
			binary.LittleEndian.PutUint32(raw[end:], crc32.ChecksumIEEE(raw[:end]))
		}
	case c.checksums:
		raw = bytes.Clone(raw[:end])
		binary.LittleEndian.PutUint32(raw[eventSizeAt:], uint32(end))
	}
	return raw
}
