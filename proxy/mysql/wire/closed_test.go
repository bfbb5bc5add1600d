//go:build unix

package wire

import (
	"runtime"
	"testing"
	"time"
)

func TestClosed(t *testing.T) {
	here, there := connected(t)
	c := NewConn(here, 100)
	if c.Closed() {
		t.Error("closed, though nobody closed it")
	}
	if _, err := there.Write([]byte{0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if HungUp(here) {
		t.Error("hung up, though nobody did")
	}
	there.Close()
	for end := time.Now().Add(60 * time.Second); runtime.GOOS == "linux" && !HungUp(here); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not noticed that the other end has hung up while something was not read")
		}
	}
	if p, err := c.ReadPacket(); err != nil || len(p) != 0 {
		t.Errorf("got %q, %v", p, err)
	}
	for end := time.Now().Add(40 * time.Second); !c.Closed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not closed")
		}
	}
}
