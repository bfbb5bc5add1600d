package rate

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	now := time.Unix(1000, 0)
	r := New(10)
	for i := range 10 {
		if wait := r.Take(now); wait != 0 {
			t.Fatalf("command %d of a second's worth waits %v", i, wait)
		}
	}
	if wait := r.Take(now); wait != 100*time.Millisecond {
		t.Errorf("the 11th waits %v, want 100ms", wait)
	}
	now = now.Add(time.Hour)
	for range 10 {
		r.Take(now)
	}
	if wait := r.Take(now); wait != 100*time.Millisecond {
		t.Errorf("after an hour more than a second's worth comes at once: %v", wait)
	}
}

func TestNoLimit(t *testing.T) {
	if New(0) != nil || New(-1) != nil {
		t.Error("a limit without a rate")
	}
}
