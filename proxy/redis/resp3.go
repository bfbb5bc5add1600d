package redis

import (
	"strconv"

	backend "github.com/nexus-replication/nexus/appliers/redis"
)

// The replies of the proxy's own that look different in RESP3.

func (s *session) appendNull(dst []byte) []byte {
	if s.protocol == backend.RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "$-1\r\n"...)
}

func (s *session) appendNullArray(dst []byte) []byte {
	if s.protocol == backend.RESP3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "*-1\r\n"...)
}

// appendMap begins a map of n pairs, which is an array of twice as many elements in RESP2.
func (s *session) appendMap(dst []byte, n int) []byte {
	if s.protocol != backend.RESP3 {
		return appendArray(dst, 2*n)
	}
	dst = append(dst, '%')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

// appendSet begins a set of n elements, which is an array in RESP2.
func (s *session) appendSet(dst []byte, n int) []byte {
	if s.protocol != backend.RESP3 {
		return appendArray(dst, n)
	}
	dst = append(dst, '~')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}

// appendText appends text for people, which is a verbatim string in RESP3.
func (s *session) appendText(dst, text []byte) []byte {
	if s.protocol != backend.RESP3 {
		return appendBulk(dst, text)
	}
	const format = "txt:"
	dst = append(dst, '=')
	dst = strconv.AppendInt(dst, int64(len(format)+len(text)), 10)
	dst = append(dst, "\r\n"+format...)
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}
