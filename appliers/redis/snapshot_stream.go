package redis

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

// eofMarkSize is the length of the mark that ends an RDB whose length was not known when it began.
const eofMarkSize = 40

// rdbStream yields the bytes of an RDB as they arrive, without what stands around them, and io.EOF only when all of them
// did and their checksum is right. It holds no more than the buffer of its connection.
type rdbStream struct {
	b    *Backend
	ctx  context.Context
	c    *conn
	stop []func() bool

	sum  rdbSum
	mark []byte // what ends the RDB, or nil if its length is known
	left int64  // the bytes to come then
	head bool   // the line before the RDB was read
	err  error  // how it ended
}

// newRDBStream takes over c. The end of ctx, and Close of the Backend, close it.
func newRDBStream(ctx context.Context, b *Backend, c *conn) *rdbStream {
	shut := func() { _ = c.Close() }
	return &rdbStream{
		b: b, ctx: ctx, c: c, sum: newRDBSum(),
		stop: []func() bool{context.AfterFunc(ctx, shut), context.AfterFunc(b.closing, shut)},
	}
}

// Close may be called at any time. A server whose child still writes kills it.
func (s *rdbStream) Close() error {
	for _, stop := range s.stop {
		stop()
	}
	_ = s.c.Close()
	return nil
}

func (s *rdbStream) Read(p []byte) (int, error) {
	if s.err == nil && !s.head {
		s.err = s.fail(s.readHead())
		s.head = true
	}
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	part, err := s.next()
	if err != nil {
		s.err = s.fail(err)
		return 0, s.err
	}
	if len(part) == 0 {
		s.err = s.finish()
		return 0, s.err
	}
	n := copy(p, part)
	s.sum.write(part[:n])
	s.left -= int64(n)
	return n, s.fail(s.c.r.discard(n))
}

// readHead reads "$EOF:<mark>" or "$<length>".
func (s *rdbStream) readHead() error {
	line, err := lineAfterKeepalives(s.c)
	if err != nil {
		return err
	}
	if mark, ok := strings.CutPrefix(string(bytes.TrimSpace(line)), "$EOF:"); ok && len(mark) == eofMarkSize {
		s.mark = []byte(mark)
		return nil
	}
	if line[0] != '$' {
		return fmt.Errorf("backend answered %.200q", line)
	}
	n, err := lineNumber(line)
	if err != nil {
		return err
	}
	s.left = int64(n)
	return nil
}

// next waits for bytes of the RDB; there are none at its end. They are valid until the next read.
func (s *rdbStream) next() ([]byte, error) {
	br := s.c.r.br
	if s.mark == nil {
		if s.left <= 0 {
			return nil, nil
		}
		if _, err := br.Peek(1); err != nil {
			return nil, unexpected(err)
		}
		return br.Peek(int(min(s.left, int64(br.Buffered()))))
	}
	// Nothing follows the mark, so that it has come when it is the last that came.
	for {
		held, err := br.Peek(br.Buffered())
		if err != nil {
			return nil, err
		}
		if body := len(held) - eofMarkSize; body > 0 || body == 0 && bytes.Equal(held, s.mark) {
			return held[:body], nil
		}
		if _, err := br.Peek(len(held) + 1); err != nil {
			return nil, unexpected(err)
		}
	}
}

func (s *rdbStream) finish() error {
	summed, err := s.sum.verify()
	if err != nil {
		return s.fail(err)
	}
	if !summed {
		s.b.log.Info("the backend writes no checksum with its data: set rdbchecksum yes", "addr", s.b.cfg.Addr)
	}
	return io.EOF
}

func (s *rdbStream) fail(err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("snapshot of backend %s: %w", s.b.cfg.Addr, err)
}
