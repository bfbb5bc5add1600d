package wire

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	// compressedHeader is the size of what is sent (3 bytes), a number, and the size of what that stands for (3 bytes), 0 if it
	// stands for itself.
	compressedHeader = 7
	// leastCompressed is from which size on compression is tried.
	leastCompressed = 150
)

// compressed is a connection in the compressed protocol: packets go in frames that have nothing to do with their borders.
type compressed struct {
	net.Conn
	in      *bufio.Reader
	seq     byte
	frame   bytes.Buffer
	pending bytes.Buffer // of the frame that was read last
	inflate io.ReadCloser
	deflate *zlib.Writer
}

// Compress goes over to the compressed protocol, after the login.
func (c *Conn) Compress() {
	c.Conn = &compressed{Conn: c.Conn, in: c.in}
	c.in = bufio.NewReaderSize(c.Conn, readBuffer)
}

var errFrame = errors.New("a compressed frame is not what its header says")

// Read implements io.Reader.
func (c *compressed) Read(p []byte) (int, error) {
	for c.pending.Len() == 0 {
		if err := c.readFrame(); err != nil {
			return 0, err
		}
	}
	return c.pending.Read(p)
}

func (c *compressed) readFrame() error {
	header, err := c.in.Peek(compressedHeader)
	if err != nil {
		if errors.Is(err, io.EOF) && len(header) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	size := int64(header[0]) | int64(header[1])<<8 | int64(header[2])<<16
	whole := int64(header[4]) | int64(header[5])<<8 | int64(header[6])<<16
	c.seq = header[3] + 1
	if _, err := c.in.Discard(compressedHeader); err != nil {
		return err
	}
	c.pending.Reset()
	if whole == 0 {
		_, err := io.CopyN(&c.pending, c.in, size)
		return unexpected(err)
	}
	c.frame.Reset()
	if _, err := io.CopyN(&c.frame, c.in, size); err != nil {
		return unexpected(err)
	}
	if c.inflate == nil {
		c.inflate, err = zlib.NewReader(&c.frame)
	} else {
		err = c.inflate.(zlib.Resetter).Reset(&c.frame, nil)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	n, err := io.Copy(&c.pending, io.LimitReader(c.inflate, whole+1))
	if err != nil || n != whole {
		return errors.Join(errFrame, err)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write implements io.Writer.
func (c *compressed) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), MaxPayload)]
		if err := c.writeFrame(part); err != nil {
			return written, err
		}
		written += len(part)
		p = p[len(part):]
	}
	return written, nil
}

func (c *compressed) writeFrame(part []byte) error {
	var header [compressedHeader]byte
	c.frame.Reset()
	c.frame.Write(header[:])
	whole := len(part)
	if whole < leastCompressed {
		whole = 0
	} else if err := c.compress(part); err != nil {
		return err
	}
	if whole == 0 || c.frame.Len()-compressedHeader >= whole {
		c.frame.Truncate(compressedHeader)
		c.frame.Write(part)
		whole = 0
	}
	frame := c.frame.Bytes()
	size := len(frame) - compressedHeader
	copy(frame, []byte{byte(size), byte(size >> 8), byte(size >> 16), c.seq, byte(whole), byte(whole >> 8), byte(whole >> 16)})
	c.seq++
	_, err := c.Conn.Write(frame)
	if c.frame.Cap() > 4*flushAt {
		c.frame = bytes.Buffer{}
	}
	return err
}

// compress appends part to the frame.
func (c *compressed) compress(part []byte) error {
	if c.deflate == nil {
		var err error
		if c.deflate, err = zlib.NewWriterLevel(&c.frame, zlib.BestSpeed); err != nil {
			return err
		}
	} else {
		c.deflate.Reset(&c.frame)
	}
	if _, err := c.deflate.Write(part); err != nil {
		return err
	}
	return c.deflate.Close()
}
