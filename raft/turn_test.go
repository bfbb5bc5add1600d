package raft

import (
	"errors"
	"testing"
	"time"
)

// Where one snapshot follows the other, a checkpoint that came too late is not too late again.
func TestCheckpointKeepsTheTurn(t *testing.T) {
	turn := &snapshotTurn{}
	if _, ok := turn.begin(true); !ok {
		t.Fatal("the turn was not free at first")
	}
	if _, ok := turn.beginCheckpoint(); ok {
		t.Fatal("two snapshots at a time")
	}
	turn.end(nil, nil)
	if _, ok := turn.begin(true); ok {
		t.Error("one that was due began before the next checkpoint")
	}
	if _, ok := turn.beginCheckpoint(); !ok {
		t.Error("the next checkpoint found the turn taken")
	}
	turn.end(nil, nil)

	turn.end(nil, errors.New("no space"))
	turn.pause = 0
	if _, ok := turn.begin(false); ok {
		t.Error("one that had failed began before the next checkpoint")
	}
	turn.ask()
	if _, ok := turn.begin(false); !ok {
		t.Error("one that was asked for had to wait")
	}
	turn.end(nil, nil)
	turn.kept = time.Now().Add(-time.Nanosecond)
	if _, ok := turn.begin(true); !ok {
		t.Error("the turn was kept when no checkpoint came")
	}
}
