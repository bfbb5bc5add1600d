package raft

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFlush(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, bodyFlushBytes)); err != nil {
		t.Fatal(err)
	}
	if err := flush(f, 0, bodyFlushBytes); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := flush(f, 0, bodyFlushBytes); err == nil {
		t.Error("bytes of a file that is closed were flushed")
	}
}
