package raft

import (
	"sync"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// maxQueuedMessages bounds the raft messages that wait for the loop. Raft repairs what is dropped.
const maxQueuedMessages = 8192

// mailbox is how everyone else reaches the raft loop. Whatever has come while the loop was busy (mostly in an fsync) is
// taken at once: that is what makes batches.
type mailbox struct {
	signal chan struct{} // holds one token while there may be mail

	mu        sync.Mutex
	mail      mail
	gathering bool // a proposal is no reason to wake the loop
	missing   int  // but so many are; 0: no number is
}

type mail struct {
	messages  []raftpb.Message
	proposals []*proposal
	calls     []func()
	read      *readRound // what readers that came since the last take wait for
}

func newMailbox() *mailbox {
	return &mailbox{signal: make(chan struct{}, 1)}
}

// wake makes the loop look around, for instance because the backend has caught up.
func (b *mailbox) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *mailbox) message(m raftpb.Message) bool {
	b.mu.Lock()
	full := len(b.mail.messages) >= maxQueuedMessages
	if !full {
		b.mail.messages = append(b.mail.messages, m)
	}
	b.mu.Unlock()
	b.wake()
	return !full
}

func (b *mailbox) propose(ps ...*proposal) {
	b.mu.Lock()
	b.mail.proposals = append(b.mail.proposals, ps...)
	wanted := !b.gathering || b.enough()
	b.mu.Unlock()
	if wanted {
		b.wake()
	}
}

// gather tells whether the loop lets proposals gather, and how many it waits for, if that is known. It sees to it that it
// wakes up again without them.
func (b *mailbox) gather(on bool, missing int) {
	b.mu.Lock()
	b.gathering, b.missing = on, missing
	there := on && b.enough()
	b.mu.Unlock()
	if there {
		b.wake() // they came while the loop made up its mind
	}
}

// enough reports whether as many proposals are there as the loop waits for. The caller holds mu.
func (b *mailbox) enough() bool {
	return b.missing > 0 && len(b.mail.proposals) >= b.missing
}

// call runs f on the loop, which owns all raft state.
func (b *mailbox) call(f func()) {
	b.mu.Lock()
	b.mail.calls = append(b.mail.calls, f)
	b.mu.Unlock()
	b.wake()
}

// joinRead returns the round of reads that has not started yet: joining one that runs would miss writes acknowledged
// since it started.
func (b *mailbox) joinRead() *readRound {
	b.mu.Lock()
	if b.mail.read == nil {
		b.mail.read = &readRound{done: make(chan struct{})}
	}
	round := b.mail.read
	b.mu.Unlock()
	b.wake()
	return round
}

// take empties the mailbox into m, whose slices it reuses. The round of reads stays unless takeRead is set.
func (b *mailbox) take(m *mail, takeRead bool) {
	clear(m.messages)
	clear(m.proposals)
	clear(m.calls)
	m.messages, m.proposals, m.calls, m.read = m.messages[:0], m.proposals[:0], m.calls[:0], nil
	b.mu.Lock()
	b.mail.messages, m.messages = m.messages, b.mail.messages
	b.mail.proposals, m.proposals = m.proposals, b.mail.proposals
	b.mail.calls, m.calls = m.calls, b.mail.calls
	if takeRead {
		b.mail.read, m.read = nil, b.mail.read
	}
	b.mu.Unlock()
}
