package wire

// PassRows collects for another connection, as they are, the rows that have arrived here whole, up to a packet that is none: a
// result has many, and what costs is each and not its bytes. Whoever reads next gets what is left.
func (c *Conn) PassRows(to *Conn, deprecateEOF bool) error {
	if c.ahead != nil {
		return nil
	}
	arrived, err := c.in.Peek(c.in.Buffered())
	if err != nil {
		return err
	}
	rows := c.wholeRows(arrived, deprecateEOF)
	if rows.count == 0 {
		return nil
	}
	c.Seq = arrived[rows.last+3] + 1
	if err := to.collectRows(arrived[:rows.size], rows); err != nil {
		return err
	}
	_, err = c.in.Discard(rows.size)
	return err
}

// rowsArrived are packets, one behind the other.
type rowsArrived struct {
	count, size int
	last        int // where the last one begins
}

func (c *Conn) wholeRows(arrived []byte, deprecateEOF bool) (r rowsArrived) {
	for len(arrived)-r.size >= headerSize {
		header := arrived[r.size:]
		end := headerSize + payloadSize(header)
		if end > len(header) || end-headerSize > c.Limit {
			break
		}
		payload := header[headerSize:end]
		if len(payload) == 0 || payload[0] == HeaderError || IsEnd(payload, deprecateEOF) {
			break
		}
		r.last, r.size, r.count = r.size, r.size+end, r.count+1
	}
	return r
}

// collectRows collects packets with numbers of their own.
func (c *Conn) collectRows(packets []byte, rows rowsArrived) error {
	at := len(c.out)
	c.out = append(c.out, packets...)
	c.last = Mark{at + rows.last, c.Seq + byte(rows.count) - 1}
	if packets[3] == c.Seq {
		c.Seq += byte(rows.count)
	} else {
		c.number(c.out[at:])
	}
	if len(c.out) >= flushAt && !c.Hold {
		return c.Flush()
	}
	return nil
}

// number numbers packets anew.
func (c *Conn) number(packets []byte) {
	for len(packets) > 0 {
		packets[3] = c.Seq
		c.Seq++
		packets = packets[headerSize+payloadSize(packets):]
	}
}
