package redis

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A server executes one command at a time and answers nobody meanwhile, however long that takes; so does one that is
// stopped, or hangs. What follows tells them apart while a call of Apply takes long, by what the server lets others see:
// that its process computes, where it runs on this machine, or that it says BUSY on another connection, as servers do in
// the middle of a script.

const (
	// busyAfter is how long a call takes before anybody looks.
	busyAfter = 500 * time.Millisecond
	// maxBusy is for how long a server that computes is believed to get done with it.
	maxBusy = 10 * time.Minute

	// processLook is how often a process is looked at. It computes if it did at half of the last processLooks.
	processLook  = 50 * time.Millisecond
	processLooks = 10
	processSign  = time.Second // for which it is then taken to go on

	// scriptGrace is for how long a script may keep a server silent, where nothing can be seen of its process: longer than
	// its busy-reply-threshold, behind which it answers BUSY. It is asked every probePause.
	scriptGrace = 7 * time.Second
	probePause  = 200 * time.Millisecond
	probeSign   = 3 * time.Second
)

// Busy reports that the backend takes long for what it was asked, and works on it. See raft.Busier. Other calls wait for
// it meanwhile, for longer than Config.ReplyTimeout.
func (b *Backend) Busy() bool { return int64(time.Since(b.made)) < b.busyUntil.Load() }

// sign notes that the server was seen to work, and is taken to do so for a while.
func (b *Backend) sign(lasts time.Duration) { b.busyUntil.Store(int64(time.Since(b.made) + lasts)) }

// attend looks after the server, if a call takes long, until the function that it returns is called.
func (b *Backend) attend() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	timer := time.AfterFunc(busyAfter, func() {
		defer close(done)
		b.watchServer(ctx)
	})
	return func() {
		cancel()
		if timer.Stop() {
			return
		}
		<-done
		// What comes next may be as slow, and is not looked at at once.
		b.busyUntil.Store(min(b.busyUntil.Load(), int64(time.Since(b.made)+processSign)))
	}
}

func (b *Backend) watchServer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxBusy)
	defer cancel()
	if p := b.process.Load(); p != nil && p.watch(ctx, b.sign) {
		return
	}
	if b.scripted.Load() {
		b.sign(scriptGrace)
	}
	for ctx.Err() == nil {
		b.askWhetherBusy(ctx)
		pause(ctx, probePause)
	}
}

// askWhetherBusy asks on a connection of its own whether the server runs a script, again and again, until there is no answer.
func (b *Backend) askWhetherBusy(ctx context.Context) {
	c, release, err := connect(ctx, &b.cfg)
	if err != nil {
		return
	}
	defer c.Close()
	defer release()
	for {
		replies, err := c.roundTrip([]string{"PING"})
		if err != nil {
			return
		}
		if errorClass(replies[0]) == "BUSY" {
			b.sign(probeSign)
		}
		if !pause(ctx, probePause) {
			return
		}
	}
}

// process is that of a server on this machine, by the file that tells of its main thread.
type process string

// processOf returns nil if the server of c runs elsewhere, or what it does cannot be seen.
func processOf(c *conn) *process {
	if c.server.process == 0 || !isOnThisHost(c) {
		return nil
	}
	p := process(fmt.Sprintf("/proc/%d/task/%[1]d/stat", c.server.process))
	name, _, ok := p.look()
	// In a container of its own, the server has another number than it has here.
	if !ok || name == "" || name != commandName(c.server.executable) {
		return nil
	}
	return &p
}

func isOnThisHost(c net.Conn) bool {
	if c.LocalAddr().Network() == "unix" {
		return true
	}
	local, ok := c.LocalAddr().(*net.TCPAddr)
	remote, also := c.RemoteAddr().(*net.TCPAddr)
	return ok && also && local.IP.Equal(remote.IP)
}

// commandName is how the kernel calls the process of a program.
func commandName(executable string) string {
	const longest = 15
	name := filepath.Base(executable)
	return name[:min(len(name), longest)]
}

// look returns the name of the process and the state of its main thread, such as R, S or T.
func (p process) look() (name string, state byte, ok bool) {
	text, err := os.ReadFile(string(p))
	if err != nil {
		return "", 0, false
	}
	from, to := bytes.IndexByte(text, '('), bytes.LastIndex(text, []byte(") "))
	if from < 0 || to < from || to+2 >= len(text) {
		return "", 0, false
	}
	return string(text[from+1 : to]), text[to+2], true
}

// watch calls sign while the process computes, or would if it got a processor, until ctx ends. It reports false if it
// cannot see that.
func (p process) watch(ctx context.Context, sign func(lasts time.Duration)) bool {
	ticker := time.NewTicker(processLook)
	defer ticker.Stop()
	running := uint(0) // the last looks, as bits
	for {
		_, state, ok := p.look()
		if !ok {
			return false
		}
		running = running << 1 & (1<<processLooks - 1)
		if state == 'R' {
			running |= 1
		}
		if bits.OnesCount(running) >= processLooks/2 {
			sign(processSign)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return true
		}
	}
}
