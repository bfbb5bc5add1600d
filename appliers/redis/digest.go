package redis

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/cespare/xxhash/v2"
	rdb "github.com/hdt3213/rdb/parser"

	"github.com/hdt3213/rdb/model"

	"github.com/nexus-replication/nexus/raft"
)

var _ raft.Digester = (*Backend)(nil)

// functionsPart holds the libraries; the other parts are the databases.
const functionsPart = "functions"

// Digest calls item for each key of an RDB that Snapshot wrote, with its value and deadline, and for each library of
// functions. What differs between servers that hold the same does not count: encodings, the order of sets and hashes,
// access times. Neither does the position, which is each node's own; what else the metadata database holds is the cluster's.
// See raft.Digester.
func (b *Backend) Digest(ctx context.Context, snap *raft.Snapshot, item func(part string, key, value uint64)) (err error) {
	// The parser trusts its input, which may be of a server with modules or of a later version.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read the RDB: %v", p)
		}
	}()
	parts := make(map[int]string)
	var failed error
	decoder := rdb.NewDecoder(bufio.NewReaderSize(contextReader{ctx, snap.Data}, readBufferSize)).WithSpecialOpCode()
	err = decoder.Parse(func(o rdb.RedisObject) bool {
		if libraries, ok := o.(*model.FunctionsObject); ok {
			item(functionsPart, xxhash.Sum64String(libraries.FunctionsLua), 1)
			return true
		}
		if o.GetType() == rdb.AuxType || o.GetType() == rdb.DBSizeType {
			return true
		}
		if o.GetDBIndex() == b.cfg.MetadataDB && o.GetKey() == markerKey {
			return true
		}
		part, ok := parts[o.GetDBIndex()]
		if !ok {
			part = "db" + strconv.Itoa(o.GetDBIndex())
			parts[o.GetDBIndex()] = part
		}
		value, err := hashObject(o)
		if err != nil {
			failed = fmt.Errorf("key %q of %s: %w", o.GetKey(), part, err)
			return false
		}
		item(part, xxhash.Sum64String(o.GetKey()), value)
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("read the RDB: %w", err)
	}
	return nil
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// valueHash sums up a value: what is added with ordered counts with its place, what is added with a sum of own hashes
// does not.
type valueHash struct {
	xxhash.Digest
	scratch [8]byte
}

func newValueHash(kind string) *valueHash {
	h := &valueHash{}
	h.Reset()
	h.text(kind)
	return h
}

func (h *valueHash) number(n uint64) {
	binary.LittleEndian.PutUint64(h.scratch[:], n)
	_, _ = h.Write(h.scratch[:]) // never fails
}

func (h *valueHash) text(s string) {
	h.number(uint64(len(s)))
	_, _ = h.WriteString(s) // never fails
}

func (h *valueHash) bytes(p []byte) {
	h.number(uint64(len(p)))
	_, _ = h.Write(p) // never fails
}

// pair is the hash of an element of something without an order.
func pair(a string, b []byte) uint64 {
	h := newValueHash("")
	h.text(a)
	h.bytes(b)
	return h.Sum64()
}

// hashObject returns the hash of a value, its type and its deadline.
func hashObject(o rdb.RedisObject) (uint64, error) {
	h := newValueHash(o.GetType())
	if deadline := o.GetExpiration(); deadline != nil {
		h.number(uint64(deadline.UnixMilli()))
	}
	switch v := o.(type) {
	case *rdb.StringObject:
		h.bytes(v.Value)
	case *rdb.ListObject:
		for _, element := range v.Values {
			h.bytes(element)
		}
	case *rdb.SetObject:
		var sum uint64
		for _, member := range v.Members {
			sum += pair("", member)
		}
		h.number(sum)
	case *rdb.HashObject:
		if len(v.FieldExpirations) > 0 {
			return 0, fmt.Errorf("its fields have deadlines, which are not supported")
		}
		var sum uint64
		for field, value := range v.Hash {
			sum += pair(field, value)
		}
		h.number(sum)
	case *rdb.ZSetObject:
		var sum uint64
		for _, e := range v.Entries {
			sum += pair(e.Member, binary.LittleEndian.AppendUint64(nil, math.Float64bits(e.Score)))
		}
		h.number(sum)
	case *rdb.StreamObject:
		hashStream(h, v)
	default:
		return 0, fmt.Errorf("it has the unknown type %q", o.GetType())
	}
	return h.Sum64(), nil
}

// hashStream leaves out when consumers were seen, which each server notes by its own clock.
func hashStream(h *valueHash, s *rdb.StreamObject) {
	id := func(id *model.StreamId) {
		if id != nil {
			h.number(id.Ms)
			h.number(id.Sequence)
		}
	}
	for _, entry := range s.Entries {
		for _, message := range entry.Msgs {
			if message.Deleted {
				continue
			}
			id(message.Id)
			var sum uint64
			for field, value := range message.Fields {
				sum += pair(field, []byte(value))
			}
			h.number(sum)
		}
	}
	h.number(s.Length)
	id(s.LastId)
	id(s.MaxDeletedId)
	h.number(s.AddedEntriesCount)
	var groups uint64
	for _, g := range s.Groups {
		groups += hashGroup(g)
	}
	h.number(groups)
}

func hashGroup(g *model.StreamGroup) uint64 {
	h := newValueHash(g.Name)
	h.number(g.LastId.Ms)
	h.number(g.LastId.Sequence)
	h.number(g.EntriesRead)
	for _, p := range g.Pending {
		h.number(p.Id.Ms)
		h.number(p.Id.Sequence)
		h.number(p.DeliveryTime)
		h.number(p.DeliveryCount)
	}
	var consumers uint64
	for _, c := range g.Consumers {
		one := newValueHash(c.Name)
		for _, p := range c.Pending {
			one.number(p.Ms)
			one.number(p.Sequence)
		}
		consumers += one.Sum64()
	}
	h.number(consumers)
	return h.Sum64()
}
