package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Setting declares one setting.
type Setting struct {
	// Name is the flag and the key of the file.
	Name string
	// Alias is another spelling of Name, or empty.
	Alias string
	// Usage is one sentence for help and the sample file.
	Usage string
	// Value parses into the variable; what the variable holds when the setting is declared is the default.
	Value Value
	// Default is what help shows as the default where that says more than the value itself.
	Default string
	// Secret values are not repeated in errors, and help advises against giving them as flags.
	Secret bool
}

// Set is the settings of one program.
type Set struct {
	program string
	summary string
	groups  []group
	notes   []note

	config  string
	help    bool
	version bool
}

type group struct {
	title    string
	settings []*entry
}

type entry struct {
	Setting
	defaultText string
}

// ErrHelp and ErrVersion are returned by Parse when that is all the user wants.
var (
	ErrHelp    = errors.New("help requested")
	ErrVersion = errors.New("version requested")
)

// New returns an empty Set. The summary opens the help text.
func New(program, summary string) *Set {
	return &Set{program: program, summary: summary}
}

// Group declares settings that help shows together.
func (s *Set) Group(title string, settings ...Setting) {
	g := group{title: title}
	for _, st := range settings {
		g.settings = append(g.settings, &entry{Setting: st, defaultText: st.Value.String()})
	}
	s.groups = append(s.groups, g)
}

// Parse sets the variables from args, the environment and the file that -config names, and returns the name of the
// program with each error. Every value that was given is checked, also one that another source overrides.
func (s *Set) Parse(args []string, getenv func(string) string) error {
	given, err := s.parseFlags(args)
	if err != nil {
		return s.errorf("%w", err)
	}
	switch {
	case s.help:
		return ErrHelp
	case s.version:
		return ErrVersion
	}
	if s.config == "" {
		s.config = getenv("NEXUS_CONFIG")
	}
	if s.config != "" {
		if err := s.readFile(s.config); err != nil {
			return s.errorf("%w", err)
		}
	}
	for _, e := range s.entries() {
		// An empty variable counts as none: that is how compose files and unit files leave one out.
		if text := getenv(EnvName(e.Name)); text != "" {
			if err := e.set(text, "from "+EnvName(e.Name)); err != nil {
				return s.errorf("%w", err)
			}
		}
	}
	for _, g := range given {
		if err := g.entry.set(g.text, ""); err != nil {
			return s.errorf("%w", err)
		}
	}
	return nil
}

func (s *Set) errorf(format string, args ...any) error {
	return fmt.Errorf(s.program+": "+format, args...)
}

// set applies a value; source says where it came from, and is empty for a flag.
func (e *entry) set(text, source string) error {
	err := e.Value.Set(text)
	if err == nil {
		return nil
	}
	if source != "" {
		source = " (" + source + ")"
	}
	return fmt.Errorf("flag -%s%s: %w", e.Name, source, err)
}

func (s *Set) entries() []*entry {
	var all []*entry
	for _, g := range s.groups {
		all = append(all, g.settings...)
	}
	return all
}

// given is a flag as it stood on the command line. Flags are applied last, so they are only collected first.
type given struct {
	entry *entry
	text  string
}

func (s *Set) parseFlags(args []string) ([]given, error) {
	var found []given
	fs := flag.NewFlagSet(s.program, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for _, e := range s.entries() {
		collect := &collector{isBool: e.Value.Kind() == "", set: func(text string) { found = append(found, given{e, text}) }}
		fs.Var(collect, e.Name, "")
		if e.Alias != "" {
			fs.Var(collect, e.Alias, "")
		}
	}
	fs.StringVar(&s.config, "config", "", "")
	fs.BoolVar(&s.version, "version", false, "")
	fs.BoolVar(&s.help, "h", false, "")
	fs.BoolVar(&s.help, "help", false, "")
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("%w; -h lists the flags", err)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q, want flags only (a switch takes its value with =); -h lists them", fs.Arg(0))
	}
	return found, nil
}

// collector is a flag.Value that accepts everything, so that errors are ours and not those of package flag.
type collector struct {
	isBool bool
	set    func(string)
}

func (c *collector) String() string     { return "" }
func (c *collector) Set(s string) error { c.set(s); return nil }
func (c *collector) IsBoolFlag() bool   { return c.isBool }

// EnvName returns the variable of the environment for a flag: grpcPort is NEXUS_GRPC_PORT, and a leading "nexus" of the
// flag is not repeated.
func EnvName(flag string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(flag, "nexus"), "-")
	var b strings.Builder
	b.WriteString("NEXUS_")
	for i := range len(name) {
		c := name[i]
		upper := c >= 'A' && c <= 'Z'
		if upper && i > 0 && name[i-1] != '-' && (name[i-1] < 'A' || name[i-1] > 'Z') {
			b.WriteByte('_')
		}
		if c == '-' {
			c = '_'
		}
		b.WriteByte(c)
	}
	return strings.ToUpper(b.String())
}
