package policy

import (
	_ "embed"
	"strconv"
	"strings"
)

// The scripts that stand in the log in place of commands whose effect depends
// on a clock or on chance. They are part of the log: nodes of different
// versions of this program run the same script for the same entry.
var (
	//go:embed lua/xadd.lua
	sourceXAdd string
	//go:embed lua/xreadgroup.lua
	sourceXReadGroup string
	//go:embed lua/pending.lua
	sourcePending string
	//go:embed lua/xclaim.lua
	sourceXClaim string
	//go:embed lua/xautoclaim.lua
	sourceXAutoClaim string
	//go:embed lua/sort.lua
	sourceSort string
	//go:embed lua/events.lua
	sourceEvents string
	//go:embed lua/spop.lua
	sourceSPop string
	//go:embed lua/take.lua
	sourceTake string

	scriptXAdd       = script(sourceXAdd)
	scriptXReadGroup = script(sourceXReadGroup)
	scriptXClaim     = script(sourcePending, sourceXClaim)
	scriptXAutoClaim = script(sourcePending, sourceXAutoClaim)
	scriptSort       = script(sourceSort)
	scriptSPop       = script(sourceEvents, sourceSPop)
	scriptTake       = script(sourceEvents, sourceTake)
)

// scriptNames are the names of the scripts by their text.
var scriptNames = map[string]string{
	string(scriptXAdd):       "xadd.lua",
	string(scriptXReadGroup): "xreadgroup.lua",
	string(scriptXClaim):     "xclaim.lua",
	string(scriptXAutoClaim): "xautoclaim.lua",
	string(scriptSort):       "sort.lua",
	string(scriptSPop):       "spop.lua",
	string(scriptTake):       "take.lua",
}

// ScriptName returns the name of one of the scripts in lua/, or "".
func ScriptName(source []byte) string { return scriptNames[string(source)] }

// maxScriptArgs bounds what is handed to a script: Lua passes on about 8000
// arguments.
const maxScriptArgs = 7000

func tooManyArgs(name string) string {
	return refusal(name, "it has more arguments than a script can pass on; use fewer at a time")
}

// script drops comments and indentation, which a backend would have to parse
// for every entry.
func script(sources ...string) []byte {
	var b strings.Builder
	for _, source := range sources {
		for line := range strings.Lines(source) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "--") {
				b.WriteString(line + "\n")
			}
		}
	}
	return []byte(b.String())
}

var wordEval = []byte("EVAL")

// appendScript appends the call of a script up to its keys.
func appendScript(dst [][]byte, source []byte, keys ...[]byte) [][]byte {
	dst = append(dst, wordEval, source, strconv.AppendInt(nil, int64(len(keys)), 10))
	return append(dst, keys...)
}

// clockArity is how many arguments the commands that rewriteClock rewrites have
// at least.
var clockArity = map[string]int{"xadd": 5, "xreadgroup": 7, "xclaim": 6, "xautoclaim": 6, "sort": 2}

// rewriteClock turns a WriteTime command that sets no deadline into one that
// does the same on every backend.
func rewriteClock(args [][]byte, now int64) (out [][]byte, errText string) {
	var buf [maxName]byte
	name := lower(&buf, args[0])
	if least := clockArity[string(name)]; len(args) < least {
		return nil, wrongArity(string(name))
	}
	switch string(name) {
	case "xadd":
		return rewriteXAdd(args, now)
	case "xreadgroup":
		return rewriteXReadGroup(args, now)
	case "xclaim":
		return rewriteXClaim(args, now)
	case "xautoclaim":
		return rewriteXAutoClaim(args, now)
	case "sort":
		return rewriteSort(args)
	}
	return args, ""
}
