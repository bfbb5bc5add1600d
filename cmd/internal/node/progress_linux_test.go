package node

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// slowReader takes half a second for each byte.
type slowReader struct{ io.ReadSeeker }

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return s.ReadSeeker.Read(p[:1])
}

func TestReadingIsToldEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tell, end := tellReading(io.Discard, slog.New(slog.NewTextHandler(&log, nil)), "FILE", 5)
		p := &reading{r: slowReader{strings.NewReader("12345")}, tell: tell}
		if text, err := io.ReadAll(p); string(text) != "12345" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		end()
		if at, err := p.Seek(0, io.SeekStart); at != 0 || err != nil || p.done != 0 {
			t.Errorf("at %d, %d done, %v", at, p.done, err)
		}
		told := regexp.MustCompile(`file=FILE done=\d+% bytes=\d of=5`).FindAllString(log.String(), -1)
		want := []string{"file=FILE done=40% bytes=2 of=5", "file=FILE done=80% bytes=4 of=5", "file=FILE done=100% bytes=5 of=5"}
		if fmt.Sprint(told) != fmt.Sprint(want) { // the last is the end of the file
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// A person at a terminal sees a bar, and no lines.
func TestReadingShowsABar(t *testing.T) {
	screen, tty := openTerminal(t)
	var log bytes.Buffer
	tell, end := tellReading(tty, slog.New(slog.NewTextHandler(&log, nil)), "FILE", 10)
	if _, err := io.ReadAll(&reading{r: strings.NewReader("12345"), tell: tell}); err != nil {
		t.Fatal(err)
	}
	end()
	check(t, tty.Close())
	shown, _ := io.ReadAll(screen) // it ends with EIO when nobody has the terminal any more
	for _, want := range []string{"Reading FILE", "50%"} {
		if !strings.Contains(string(shown), want) {
			t.Errorf("%q is not in %q", want, shown)
		}
	}
	if log.Len() > 0 {
		t.Errorf("lines beside the bar: %s", &log)
	}
}

// openTerminal returns a terminal, and what a person sees of it.
func openTerminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had")
	}
	t.Cleanup(func() { screen.Close() })
	check(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	check(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
