package acl

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-replication/nexus/proxy/redis/redistest"
)

var update = flag.Bool("update", false, "write commands.txt anew from redis-server")

// own are the commands that redis-server 7.0 does not have. They tell of the cluster, or are of later versions.
var own = []string{
	"client|no-touch\tn\tconnection slow\t",
	"client|setinfo\tn\tconnection slow\t",
	"nexus\t\tslow\t",
	"nexus|explain\tn\tadmin dangerous slow\t",
	"nexus|help\t\tslow\t",
	"nexus|members\tn\tadmin dangerous slow\t",
	"nexus|status\tn\tadmin dangerous slow\t",
	"nexus|verify\tn\tadmin dangerous slow\t",
}

// TestTableIsTheServers compares commands.txt with what COMMAND reports. "go test ./proxy/redis/acl -update" writes it.
func TestTableIsTheServers(t *testing.T) {
	lines := slices.Clone(own)
	var walk func(entry []any)
	walk = func(entry []any) {
		lines = append(lines, commandLine(entry))
		for _, sub := range entry[9].([]any) {
			walk(sub.([]any))
		}
	}
	for _, e := range redistest.Dial(t).Do("COMMAND").([]any) {
		walk(e.([]any))
	}
	slices.Sort(lines)
	want := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile("commands.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if commandsText != want {
		t.Error("commands.txt is not what the server says: run go test ./proxy/redis/acl -update, and look at the difference")
	}
}

func commandLine(entry []any) string {
	name, marks := entry[0].(string), ""
	if has(entry[2], "no_auth") {
		marks += "a"
	}
	if has(entry[2], "noscript") {
		marks += "n"
	}
	var cats, keys []string
	for _, c := range entry[6].([]any) {
		cats = append(cats, strings.TrimPrefix(c.(string), "@"))
	}
	slices.Sort(cats)
	for _, k := range entry[8].([]any) {
		if text := keyText(fields(k)); text != "" {
			keys = append(keys, text)
		}
	}
	return strings.Join([]string{name, marks, strings.Join(cats, " "), strings.Join(keys, " ")}, "\t")
}

func keyText(k map[string]any) string {
	flags := k["flags"]
	if has(flags, "not_key") {
		return "" // a channel
	}
	how := ""
	if has(flags, "access") {
		how += "r"
	}
	if has(flags, "insert") || has(flags, "delete") || has(flags, "update") {
		how += "w"
	}
	begin, find := fields(k["begin_search"]), fields(k["find_keys"])
	bspec, fspec := fields(begin["spec"]), fields(find["spec"])
	var at string
	switch begin["type"] {
	case "index":
		at = fmt.Sprint(bspec["index"])
	case "keyword":
		at = fmt.Sprintf("%s,%d", bspec["keyword"], bspec["startfrom"])
	default:
		return "" // SORT, which keys.go knows
	}
	if find["type"] == "keynum" {
		return fmt.Sprintf("%s@%s:count(%d)", how, at, fspec["firstkey"])
	}
	return fmt.Sprintf("%s@%s:range(%d,%d,%d)", how, at, fspec["lastkey"], fspec["keystep"], fspec["limit"])
}

func has(list any, flag string) bool { return slices.Contains(list.([]any), any(flag)) }

// fields is a map as RESP2 has it.
func fields(list any) map[string]any {
	m := make(map[string]any)
	l := list.([]any)
	for i := 0; i+1 < len(l); i += 2 {
		m[l[i].(string)] = l[i+1]
	}
	return m
}
