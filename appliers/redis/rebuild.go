package redis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

var errScan = errors.New("SCAN was not answered as expected")

// scanCount is how many keys a SCAN call looks at, and so about how many commands are sent together.
const scanCount = "2000"

// rebuild adds every key of the backend that has a deadline to an index, and leaves the connection in the metadata
// database. Databases without deadlines cost nothing.
func (b *Backend) rebuild(c *conn, into *Deadlines) error {
	info, err := c.one("INFO", "keyspace")
	if err != nil {
		return fmt.Errorf("rebuild the index of deadlines: %w", err)
	}
	text, _, err := bulkText(info)
	if err != nil {
		return fmt.Errorf("rebuild the index of deadlines: %w", err)
	}
	spaces := parseInfo(text).keys
	var dbs []int
	for db, k := range spaces {
		if db != b.cfg.MetadataDB && k.expires > 0 {
			dbs = append(dbs, db)
		}
	}
	slices.Sort(dbs)
	for _, db := range dbs {
		if err := rebuildDB(c, db, into); err != nil {
			return fmt.Errorf("rebuild the index of deadlines of database %d: %w", db, err)
		}
	}
	_, err = c.one("SELECT", strconv.Itoa(b.cfg.MetadataDB))
	return err
}

func rebuildDB(c *conn, db int, into *Deadlines) error {
	if _, err := c.one("SELECT", strconv.Itoa(db)); err != nil {
		return err
	}
	for cursor := "0"; ; {
		raw, err := c.one("SCAN", cursor, "COUNT", scanCount)
		if err != nil {
			return err
		}
		next, keys, err := parseScan(raw)
		if err != nil {
			return err
		}
		if err := into.ask(c, db, keys); err != nil {
			return err
		}
		if next == "0" {
			return nil
		}
		cursor = next
	}
}

// parseScan takes a reply to SCAN apart.
func parseScan(raw []byte) (cursor string, keys []string, err error) {
	n, rest, ok := cutHead(raw, '*')
	if !ok || n != 2 {
		return "", nil, fmt.Errorf("%w: %.40q", errScan, raw)
	}
	next, rest, ok := cutBulk(rest)
	if !ok {
		return "", nil, fmt.Errorf("%w: %.40q", errScan, raw)
	}
	if n, rest, ok = cutHead(rest, '*'); !ok {
		return "", nil, fmt.Errorf("%w: %.40q", errScan, raw)
	}
	keys = make([]string, 0, min(n, len(rest)))
	for ; n > 0; n-- {
		var key []byte
		if key, rest, ok = cutBulk(rest); !ok {
			return "", nil, fmt.Errorf("%w: %.40q", errScan, raw)
		}
		keys = append(keys, string(key))
	}
	return string(next), keys, nil
}

// ask lowers the index to what the backend says about keys of the selected database.
func (d *Deadlines) ask(c *conn, db int, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var request []byte
	for _, key := range keys {
		request = appendStrings(request, "PEXPIRETIME", key)
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	stored := make([]int64, len(keys))
	for i := range keys {
		line, err := c.r.line()
		if err != nil {
			return err
		}
		n, _, ok := cutInteger(line)
		if !ok {
			return fmt.Errorf("PEXPIRETIME: %w: %.80q", errProtocol, line)
		}
		stored[i] = n
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, key := range keys {
		if stored[i] >= ShiftMillis {
			d.lower(db, key, stored[i]-ShiftMillis)
		}
	}
	return nil
}

// probe asks for the deadlines of keys that a script may have changed in a transaction whose replies were lost, and
// leaves the connection in the metadata database.
func (b *Backend) probe(c *conn, probes []probe) error {
	for _, p := range probes {
		if _, err := c.one("SELECT", strconv.Itoa(p.db)); err != nil {
			return err
		}
		if err := b.ask(c, p.db, []string{p.key}); err != nil {
			return err
		}
	}
	if len(probes) == 0 {
		return nil
	}
	_, err := c.one("SELECT", strconv.Itoa(b.cfg.MetadataDB))
	return err
}

// replace makes the index that of fresh, whose applied deadlines are those of other data. What is pending stays: it was
// proposed, and will be applied to that data.
func (d *Deadlines) replace(fresh *Deadlines) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := range d.pended {
		for _, p := range e.pends {
			fresh.pend(e.db.num, e.key, p)
		}
	}
	d.dbs, d.heap, d.pended = fresh.dbs, fresh.heap, fresh.pended
	d.size.Store(int64(len(d.heap)))
}
