package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Scope says whose a parameter of CONFIG SET is.
type Scope uint8

const (
	// ScopeCluster is for what changes replies or data: an entry of the log sets
	// it on every backend.
	ScopeCluster Scope = iota
	// ScopeBackend is for what concerns the local backend alone.
	ScopeBackend
	// ScopeNode is for what the node itself heeds.
	ScopeNode
	// ScopeFixed is for what may only be set to the value it has.
	ScopeFixed
)

// Setting is a parameter that clients may set.
type Setting struct {
	Name  string
	Scope Scope
	// Value is the value in the one form that all nodes use.
	Value string
}

// settingRule is what CONFIG SET takes for a parameter.
type settingRule struct {
	scope Scope
	// check returns the value in its one form, or why Redis would not take it.
	check func(value string) (canonical, problem string)
}

// settingAliases are the former names of parameters.
var settingAliases = map[string]string{
	"min-slaves-max-lag":       "min-replicas-max-lag",
	"min-slaves-to-write":      "min-replicas-to-write",
	"repl-ping-slave-period":   "repl-ping-replica-period",
	"slave-read-only":          "replica-read-only",
	"slave-serve-stale-data":   "replica-serve-stale-data",
	"hash-max-ziplist-entries": "hash-max-listpack-entries",
	"hash-max-ziplist-value":   "hash-max-listpack-value",
	"list-max-ziplist-size":    "list-max-listpack-size",
	"zset-max-ziplist-entries": "zset-max-listpack-entries",
	"zset-max-ziplist-value":   "zset-max-listpack-value",
}

var settingRules = map[string]settingRule{
	"hash-max-listpack-entries": {ScopeCluster, number(0, math.MaxInt64)},
	"hash-max-listpack-value":   {ScopeCluster, memory},
	"hll-sparse-max-bytes":      {ScopeCluster, memory},
	"list-compress-depth":       {ScopeCluster, number(0, math.MaxInt32)},
	"list-max-listpack-size":    {ScopeCluster, number(math.MinInt32, math.MaxInt32)},
	"maxmemory":                 {ScopeCluster, memory},
	"maxmemory-policy": {ScopeCluster, oneOf("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru",
		"allkeys-lfu", "allkeys-random", "noeviction")},
	"notify-keyspace-events":    {ScopeCluster, eventClasses},
	"sanitize-dump-payload":     {ScopeCluster, oneOf("no", "yes", "clients")},
	"set-max-intset-entries":    {ScopeCluster, number(0, math.MaxInt64)},
	"stream-node-max-bytes":     {ScopeCluster, memory},
	"stream-node-max-entries":   {ScopeCluster, number(0, math.MaxInt64)},
	"zset-max-listpack-entries": {ScopeCluster, number(0, math.MaxInt64)},
	"zset-max-listpack-value":   {ScopeCluster, memory},

	"slowlog-log-slower-than": {ScopeNode, number(-1, math.MaxInt64)},
	"slowlog-max-len":         {ScopeNode, number(0, math.MaxInt64)},

	"tracking-table-max-keys": {ScopeNode, number(0, math.MaxInt64)},

	// About replicas, of which a node has none.
	"masterauth":               {ScopeNode, anything},
	"masteruser":               {ScopeNode, anything},
	"min-replicas-max-lag":     {ScopeNode, number(0, math.MaxInt32)},
	"min-replicas-to-write":    {ScopeNode, number(0, math.MaxInt32)},
	"repl-backlog-size":        {ScopeNode, memory},
	"repl-ping-replica-period": {ScopeNode, number(1, math.MaxInt32)},
	"repl-timeout":             {ScopeNode, number(1, math.MaxInt32)},
	"replica-read-only":        {ScopeNode, yesOrNo},
	"replica-serve-stale-data": {ScopeNode, yesOrNo},

	// About files of the backend, which nothing depends on: the log keeps all that is acknowledged.
	"aof-use-rdb-preamble":        {ScopeNode, yesOrNo},
	"appendfsync":                 {ScopeNode, oneOf("everysec", "always", "no")},
	"appendonly":                  {ScopeNode, yesOrNo},
	"auto-aof-rewrite-min-size":   {ScopeNode, memory},
	"auto-aof-rewrite-percentage": {ScopeNode, number(0, math.MaxInt32)},
	"no-appendfsync-on-rewrite":   {ScopeNode, yesOrNo},
	"save":                        {ScopeNode, savePoints},
	"stop-writes-on-bgsave-error": {ScopeNode, yesOrNo},

	// Larger than what a node passes on, and than what is in the log already.
	"proto-max-bulk-len": {ScopeFixed, only("536870912", "512mb")},
	"maxmemory-clients":  {ScopeFixed, noShare},
}

// backendSettings are parameters of ScopeBackend. The backend itself checks
// their values.
var backendSettings = []string{
	"active-defrag-cycle-max", "active-defrag-cycle-min", "active-defrag-ignore-bytes", "active-defrag-max-scan-fields",
	"active-defrag-threshold-lower", "active-defrag-threshold-upper", "activedefrag", "activerehashing",
	"busy-reply-threshold", "dynamic-hz", "hz", "jemalloc-bg-thread", "latency-monitor-threshold", "latency-tracking",
	"latency-tracking-info-percentiles", "lazyfree-lazy-eviction", "lazyfree-lazy-expire", "lazyfree-lazy-server-del",
	"lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "lfu-decay-time", "lfu-log-factor", "loglevel", "lua-time-limit",
	"maxmemory-eviction-tenacity", "maxmemory-samples", "rdbcompression",
}

// immutableSettings are those that Redis lets nobody change while it runs.
var immutableSettings = []string{
	"aclfile", "always-show-logo", "aof_rewrite_cpulist", "appenddirname", "appendfilename", "bgsave_cpulist",
	"bio_cpulist", "cluster-config-file", "cluster-enabled", "cluster-port", "daemonize", "databases", "disable-thp",
	"enable-debug-command", "enable-module-command", "enable-protected-configs", "io-threads", "io-threads-do-reads",
	"logfile", "pidfile", "rdbchecksum", "replicaof", "server_cpulist", "set-proc-title", "slaveof", "socket-mark-id",
	"supervised", "syslog-enabled", "syslog-facility", "syslog-ident", "tcp-backlog", "unixsocket", "unixsocketperm",
}

// ParseConfigSet reads a CONFIG SET. known tells whether the backend has a
// parameter of a name that is no setting here, and present what CONFIG GET says
// of one, if it says anything: that value may be set. Either all of it is right,
// or errText is the reply.
func ParseConfigSet(args [][]byte, known func(name string) bool, present func(name string) (value string, ok bool)) (settings []Setting, errText string) {
	if len(args)%2 != 0 {
		return nil, errSyntax
	}
	if errText := checkSettingNames(args, known); errText != "" {
		return nil, errText
	}
	for i := 2; i < len(args); i += 2 {
		given := quoted(args[i], maxQuoted)
		s := Setting{Name: SettingName(args[i]), Value: string(args[i+1])}
		rule, ok := settingRules[s.Name]
		switch {
		case ok:
			value, problem := rule.check(s.Value)
			s.Scope = rule.scope
			if problem == "" {
				s.Value = value
			} else if s.Scope != ScopeFixed || !isPresent(s, present) {
				return nil, settingError(given, problem)
			}
		case slices.Contains(backendSettings, s.Name):
			s.Scope = ScopeBackend
		case isPresent(s, present):
			s.Scope = ScopeFixed
		case s.Name == "port":
			return nil, settingError(given, "Unable to listen on this port. A node of Nexus listens where -proxyPort says")
		case s.Name == "timeout":
			return nil, settingError(given, "The flag -idleTimeout of a node says when it closes idle clients")
		default:
			return nil, settingError(given, "Nexus does not let clients change it, as it concerns a single backend and its machine")
		}
		settings = append(settings, s)
	}
	return settings, ""
}

// isPresent reports whether s is as it is to be set.
func isPresent(s Setting, present func(name string) (value string, ok bool)) bool {
	value, ok := present(s.Name)
	return ok && value == s.Value
}

// checkSettingNames makes the checks that Redis makes before it looks at values.
func checkSettingNames(args [][]byte, known func(name string) bool) (errText string) {
	seen := make(map[string]bool)
	for i := 2; i < len(args); i += 2 {
		given, name := quoted(args[i], maxQuoted), SettingName(args[i])
		_, settable := settingRules[name]
		switch {
		case slices.Contains(immutableSettings, name):
			return settingError(given, "can't set immutable config")
		case !settable && !slices.Contains(backendSettings, name) && !known(name):
			return oneLine("ERR Unknown option or number of arguments for CONFIG SET - '" + quoted(args[i], maxQuoted) + "'")
		case seen[name]:
			return settingError(given, "duplicate parameter")
		}
		seen[name] = true
	}
	return ""
}

// SettingName is the name of a parameter that may have been given by a former
// one.
func SettingName[T string | []byte](given T) string {
	name := strings.ToLower(string(given))
	if alias, ok := settingAliases[name]; ok {
		return alias
	}
	return name
}

func settingError(name, problem string) string {
	return oneLine("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + problem)
}

func number(least, most int64) func(string) (string, string) {
	return func(value string) (string, string) {
		n, ok := parseInt([]byte(value))
		if !ok {
			return "", "argument couldn't be parsed into an integer"
		}
		if n < least || n > most {
			return "", fmt.Sprintf("argument must be between %d and %d inclusive", least, most)
		}
		return value, ""
	}
}

// memory reads a size with a unit, as in 64 or 1kb.
func memory(value string) (string, string) {
	const problem = "argument must be a memory value"
	digits := strings.TrimRight(value, "bBkKmMgG")
	unit, ok := map[string]int64{"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30}[strings.ToLower(value[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/unit {
		return "", problem
	}
	return strconv.FormatInt(n*unit, 10), ""
}

func oneOf(words ...string) func(string) (string, string) {
	return func(value string) (string, string) {
		lower := strings.ToLower(value)
		if !slices.Contains(words, lower) {
			return "", "argument(s) must be one of the following: " + strings.Join(words, ", ")
		}
		return lower, ""
	}
}

func yesOrNo(value string) (string, string) {
	if canonical, problem := oneOf("yes", "no")(value); problem == "" {
		return canonical, ""
	}
	return "", "argument must be 'yes' or 'no'"
}

// savePoints reads pairs of a time in seconds and a number of changes.
func savePoints(value string) (string, string) {
	const problem = "Invalid save parameters"
	words := strings.Fields(value)
	if len(words)%2 != 0 {
		return "", problem
	}
	for i, word := range words {
		if n, err := strconv.ParseInt(word, 10, 64); err != nil || n < 0 || i%2 == 0 && n < 1 {
			return "", problem
		}
	}
	return strings.Join(words, " "), ""
}

func only(values ...string) func(string) (string, string) {
	return func(value string) (string, string) {
		if !slices.Contains(values, strings.ToLower(value)) {
			return "", "Nexus needs it to be '" + values[0] + "' on every backend"
		}
		return values[0], ""
	}
}

// noShare is for a size, or a percentage of maxmemory, that has to be 0.
func noShare(value string) (string, string) {
	if percent, ok := strings.CutSuffix(value, "%"); ok {
		if n, err := strconv.ParseInt(percent, 10, 64); err == nil && n > 100 {
			return "", "percentage argument must be less or equal to 100"
		}
	}
	return only("0")(value)
}

func anything(value string) (string, string) { return value, "" }

func eventClasses(value string) (string, string) {
	if strings.Trim(value, "KEg$lshzxetmdnA") != "" {
		return "", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
	}
	return value, ""
}
