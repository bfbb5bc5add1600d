package redis

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/integration/cluster"
)

// readCorpus returns the commands of a corpus file, split as redis-cli does.
func readCorpus(tb testing.TB, name string) (lines []string, commands [][]string) {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		args, err := splitLine(line)
		if err != nil {
			tb.Fatalf("%s:%d: %v", name, n, err)
		}
		lines = append(lines, line)
		commands = append(commands, args)
	}
	if err := scanner.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines, commands
}

// splitLine splits at blanks, except inside of double quotes, which are unquoted as in C.
func splitLine(line string) ([]string, error) {
	var args []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			args, line = append(args, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", quoted, err)
		}
		args, line = append(args, word), line[len(quoted):]
	}
	return args, nil
}

// differs are the commands whose replies may differ from those of a plain server, with the reason.
var differs = map[string]string{
	"CONFIG GET requirepass": "secrets of the backend are not shown",
}

// protocols are run one after the other.
var protocols = []backend.Protocol{backend.RESP2, backend.RESP3}

func TestCorpusEqualsPlainRedis(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) { testCorpus(t, protocol) })
	}
}

// speak chooses a protocol, also again where the corpus has reset the connection.
func speak(protocol backend.Protocol, clients ...*client) {
	for _, c := range clients {
		c.cmd(fmt.Sprint("HELLO ", protocol))
	}
}

func testCorpus(t *testing.T, protocol backend.Protocol) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	speak(protocol, ours, plain)
	lines, commands := readCorpus(t, "testdata/corpus.txt")
	if len(lines) < 300 {
		t.Fatalf("corpus has %d commands", len(lines))
	}
	for i, args := range commands {
		got, exp := ours.do(args...), plain.do(args...)
		if !cluster.SameReply(args, got, exp) && differs[lines[i]] == "" {
			t.Errorf("%s\n got %.300q\nwant %.300q", lines[i], got, exp)
		}
		if args[0] == "RESET" {
			speak(protocol, ours, plain)
		}
	}
}

// The same in pipelines, where commands share proposals and barriers.
func TestCorpusPipelined(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) { testCorpusPipelined(t, protocol) })
	}
}

func testCorpusPipelined(t *testing.T, protocol backend.Protocol) {
	p := startProxy(t)
	ours, plain := dial(t, p.addr), dial(t, startRedis(t))
	lines, commands := readCorpus(t, "testdata/corpus.txt")
	for from := 0; from < len(commands); {
		if from == 0 || commands[from-1][0] == "RESET" {
			speak(protocol, ours, plain)
		}
		end := from + 1
		for end < min(from+50, len(commands)) && commands[end-1][0] != "RESET" {
			end++
		}
		var request []byte
		for _, args := range commands[from:end] {
			request = appendRequest(request, args...)
		}
		ours.send(request)
		plain.send(request)
		for i := from; i < end; i++ {
			got, exp := ours.reply(), plain.reply()
			if !cluster.SameReply(commands[i], got, exp) && differs[lines[i]] == "" {
				t.Errorf("%s\n got %.300q\nwant %.300q", lines[i], got, exp)
			}
		}
		from = end
	}
	if p.log.maxCommands.Load() < 5 {
		t.Errorf("at most %d writes were proposed together", p.log.maxCommands.Load())
	}
}
