package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/nexus-replication/nexus/integration/lan"
)

// Process is a child process that can be started again after it ended. It runs in a process group of its own, so that
// a Ctrl-C at the terminal does not reach it, and dies with this process where the system offers that.
//
// Set the exported fields before Start. Methods may be called from several goroutines.
type Process struct {
	Name string
	Path string
	Args []string
	Env  []string // in addition to the environment of this process
	Dir  string
	Log  string // file to which standard output and standard error are appended

	// Namespace is the network that the process has; nil for that of this process.
	Namespace *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when the last started command has ended
	err    error         // how it ended; read after exited
	begin  int64         // size of Log when the last command started
}

// spawner is the one thread that starts children: the kernel sends the death signal when the thread that started a
// child ends, and not only when its process does, so it must be a thread that never ends.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts the process. It is an error if it runs already.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runningLocked() {
		return fmt.Errorf("%s is running already", p.Name)
	}
	if err := os.MkdirAll(filepath.Dir(p.Log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if p.begin, err = log.Seek(0, 2); err != nil {
		return err
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Dir = p.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr()
	started := make(chan error)
	spawner() <- func() { started <- lan.In(p.Namespace, cmd.Start) }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited, p.err = cmd, exited, nil
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(exited)
	}()
	return nil
}

func (p *Process) runningLocked() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Running reports whether the process was started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runningLocked()
}

// Pid returns the id of the process that was started last, or 0.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Exited is closed when the process that was started last has ended. Nil, so never closed, before the first Start.
func (p *Process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}

// Err says how the process that was started last ended: nil for exit status 0.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// ended is Err, where ending without an error is one too.
func (p *Process) ended() error {
	if err := p.Err(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// ExitCode returns the exit status, or -1 while the process runs or if a signal ended it.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.ProcessState == nil || p.runningLocked() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// signal sends s to the process if it still runs.
func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runningLocked() {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %v: %w", p.Name, s, err)
	}
	return nil
}

// Kill ends the process as a crash does, and waits until it has ended. It works on a paused process too.
func (p *Process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	p.wait()
	return nil
}

// Stop asks the process to end, and waits until it has. If it has not after timeout, Stop kills it and says so.
func (p *Process) Stop(timeout time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	exited := p.Exited()
	if exited == nil {
		return nil
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-exited:
		return nil
	case <-timer.C:
		if err := p.Kill(); err != nil {
			return err
		}
		return fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.Name, timeout)
	}
}

// Pause stops the process from running, as a long garbage collection or a suspended virtual machine does. When it
// returns, none of the threads runs: the signal alone lets them go on until the system gets round to each.
func (p *Process) Pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if !p.Running() {
		return nil
	}
	if err := awaitStopped(p.Pid()); err != nil {
		return fmt.Errorf("%s: pause: %w", p.Name, err)
	}
	return nil
}

// Resume undoes Pause.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) wait() {
	if exited := p.Exited(); exited != nil {
		<-exited
	}
}

// Output returns what the process has written since it was started last.
func (p *Process) Output() string {
	p.mu.Lock()
	begin := p.begin
	p.mu.Unlock()
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	if begin > int64(len(b)) {
		begin = 0
	}
	return string(b[begin:])
}
