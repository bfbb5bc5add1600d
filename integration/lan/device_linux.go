package lan

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// open makes the device of the host, apart in a namespace of its own.
func (h *host) open(apart bool) error {
	done := make(chan error)
	go func() {
		// The thread that enters the namespace must do nothing else ever after. As it is not unlocked, it ends with this
		// goroutine.
		if apart {
			runtime.LockOSThread()
		}
		done <- h.enter(apart)
	}()
	err := <-done
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func (h *host) enter(apart bool) (err error) {
	if apart {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if h.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err := up("lo"); err != nil {
			return err
		}
	}
	// Not blocking, so that closing it ends a read; and set up before the runtime's poller sees it.
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/net/tun: %w", err)
	}
	name, err := attach(fd)
	if err == nil {
		err = h.configure(name)
	}
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	h.device = os.NewFile(uintptr(fd), name)
	return nil
}

// attach makes a TUN device of fd, and returns the name that the kernel gave it.
func attach(fd int) (name string, err error) {
	ifr, err := unix.NewIfreq("nexus%d")
	if err != nil {
		return "", err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return "", fmt.Errorf("make a TUN device: %w", err)
	}
	return ifr.Name(), nil
}

// configure gives the device its address, in a network of 256.
func (h *host) configure(device string) error {
	if err := request(device, unix.SIOCSIFADDR, func(ifr *unix.Ifreq) error { return ifr.SetInet4Addr(h.addr[:]) }); err != nil {
		return fmt.Errorf("give %s its address: %w", device, err)
	}
	mask := []byte{255, 255, 255, 0}
	if err := request(device, unix.SIOCSIFNETMASK, func(ifr *unix.Ifreq) error { return ifr.SetInet4Addr(mask) }); err != nil {
		return fmt.Errorf("give %s its netmask: %w", device, err)
	}
	return up(device)
}

func up(device string) error {
	err := request(device, unix.SIOCSIFFLAGS, func(ifr *unix.Ifreq) error {
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return nil
	})
	if err != nil {
		return fmt.Errorf("set %s up: %w", device, err)
	}
	return nil
}

// request asks the kernel to change a device of the calling thread's namespace.
func request(device string, what uint, fill func(*unix.Ifreq) error) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := fill(ifr); err != nil {
		return err
	}
	return unix.IoctlIfreq(socket, what, ifr)
}

// In calls f on a thread that is in a namespace, which what f starts is in then, too. Nil is this process's own.
func In(namespace *os.File, f func() error) error {
	if namespace == nil {
		return f()
	}
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	err = f()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("lan: a thread cannot leave a namespace: %v", back)) // nothing in this process would be right
	}
	runtime.UnlockOSThread()
	return err
}

func (h *host) close() error {
	var errs []error
	for _, f := range []*os.File{h.device, h.namespace} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
