package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// apartVariable is set in the environment of a process that has a network of its own.
const apartVariable = "NEXUS_BENCH_APART"

// ownNetwork runs this program again in a network namespace of its own, where nothing but the benchmark sends bytes, and
// returns its exit status. It reports false where there is none to be had, or this is that process already: hasOwnNetwork.
func ownNetwork() (status int, done bool) {
	if os.Getenv(apartVariable) != "" || os.Geteuid() != 0 {
		return 0, false
	}
	// The death signal is sent when the thread ends that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Setpgid: true, Pdeathsig: syscall.SIGTERM}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: no network namespace, so network bytes are not counted:", err)
		return 0, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // it may have ended
			case <-ctx.Done():
				return
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), true
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1, true
	}
	return 0, true
}

// hasOwnNetwork reports whether this is the process that ownNetwork started, and sets up its loopback device.
func hasOwnNetwork() (bool, error) {
	if os.Getenv(apartVariable) == "" {
		return false, nil
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(socket)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return false, err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, ifr); err != nil {
		return false, fmt.Errorf("set up the loopback device: %w", err)
	}
	return true, nil
}
