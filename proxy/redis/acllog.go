package redis

import (
	"sync"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/acl"
)

const (
	maxACLLog = 128
	// sameWithin is how many of the newest entries a new one is compared with, to count it there.
	sameWithin = 10
	// sameFor is for how long equal denials are counted as one.
	sameFor = time.Minute
)

// aclEvent is a denial, or a login that failed.
type aclEvent struct{ reason, context, object, user string }

type aclEntry struct {
	aclEvent
	count  int64
	at     time.Time
	client string
}

// aclLog has the newest denials of this node, newest first.
type aclLog struct {
	mu      sync.Mutex
	entries []*aclEntry
}

func (l *aclLog) add(ev aclEvent, client string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.entries[:min(sameWithin, len(l.entries))] {
		if e.aclEvent != ev || now.Sub(e.at) > sameFor {
			continue
		}
		e.count++
		e.at, e.client = now, client
		copy(l.entries[1:i+1], l.entries[:i])
		l.entries[0] = e
		return
	}
	e := &aclEntry{aclEvent: ev, count: 1, at: now, client: client}
	l.entries = append([]*aclEntry{e}, l.entries[:min(len(l.entries), maxACLLog-1)]...)
}

func (l *aclLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// newest returns up to n entries.
func (l *aclLog) newest(n int64) []aclEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]aclEntry, min(n, int64(len(l.entries))))
	for i := range list {
		list[i] = *l.entries[i]
	}
	return list
}

func (s *session) noteDenial(d acl.Denial, context string) {
	reason := map[acl.Kind]string{acl.DeniedKey: "key", acl.DeniedChannel: "channel"}[d.Kind]
	if reason == "" {
		reason = "command"
	}
	s.noteACL(aclEvent{reason: reason, context: context, object: d.Object, user: s.user.Name})
}

func (s *session) noteACL(ev aclEvent) {
	s.srv.metrics.denied.Add(1)
	now := time.Now()
	line := s.appendClientLine(nil, now, 0)
	s.srv.aclLog.add(ev, string(line[:len(line)-1]), now)
}
