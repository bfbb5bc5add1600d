package cluster

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p := &Process{Name: "child", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log")}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func awaitOutput(t *testing.T, p *Process, want string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(p.Output(), want); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 40*time.Second {
			t.Fatalf("%q does not appear in %q", want, p.Output())
		}
	}
}

func TestProcessStopAndStartAgain(t *testing.T) {
	p := shell(t, "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done")
	if p.Running() || p.Stop(time.Second) != nil || p.Kill() != nil {
		t.Fatal("a process that never started is not at rest")
	}
	for range 2 {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if p.Start() == nil {
			t.Error("started twice")
		}
		awaitOutput(t, p, "up")
		if err := p.Stop(40 * time.Second); err != nil {
			t.Fatal(err)
		}
		if p.Running() || p.ExitCode() != 3 || p.Output() != "up\nbye\n" {
			t.Errorf("running %v, exit code %d, output %q", p.Running(), p.ExitCode(), p.Output())
		}
	}
}

func TestProcessKillPaused(t *testing.T) {
	p := shell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, p, "up")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop = %v", err)
	}
	if p.Running() || p.ExitCode() != -1 {
		t.Errorf("running %v, exit code %d", p.Running(), p.ExitCode())
	}
}

// A process that was paused must not write another line.
func TestPauseHasStopped(t *testing.T) {
	p := shell(t, "echo up; while :; do echo x; done")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, p, "up")
	for range 20 {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		before := len(p.Output())
		time.Sleep(2 * time.Millisecond)
		if after := len(p.Output()); after != before {
			t.Fatalf("%d bytes were written after the pause", after-before)
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAwaitTellsWhyAProcessEnded(t *testing.T) {
	p := shell(t, "echo cannot start; exit 1")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	err := p.await(t.Context(), "serve", func(context.Context) error { return context.DeadlineExceeded })
	if err == nil || !strings.Contains(err.Error(), "cannot start") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("await = %v", err)
	}
}
