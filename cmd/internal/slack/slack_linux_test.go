package slack_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nexus-replication/nexus/cmd/internal/slack"
)

const wanted = 3 * time.Millisecond

// TestMain is also the program that TestAllow starts: it prints the slack of each of its threads.
func TestMain(m *testing.M) {
	if os.Getenv("SLACK_TEST") == "" {
		os.Exit(m.Run())
	}
	slack.Allow(wanted)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/" + task.Name() + "/timerslack_ns")
		if err != nil {
			continue // without the right to look at another thread
		}
		fmt.Print(string(text))
	}
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	fmt.Println(now, err, os.Getpid(), os.Args[1:], len(os.Getenv("_TIMER_SLACK_SET")))
}

// All threads get the slack, those of the runtime too; process and arguments stay the same.
func TestAllow(t *testing.T) {
	cmd := exec.Command(os.Args[0], "some", "arguments")
	cmd.Env = append(os.Environ(), "SLACK_TEST=1")
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines[:len(lines)-1] {
		if line != strconv.Itoa(int(wanted)) {
			t.Errorf("a thread has a slack of %s ns, want %d", line, wanted)
		}
	}
	want := fmt.Sprintf("%d <nil> %d [some arguments] 0", wanted, cmd.Process.Pid)
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
}
