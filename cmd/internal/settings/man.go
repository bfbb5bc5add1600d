package settings

import (
	"fmt"
	"io"
	"strings"
)

// note is a part of the manual page that is about no setting.
type note struct{ title, text string }

// Note adds a section to the manual page, behind the settings. Lines that begin with a word and a tab are a list.
func (s *Set) Note(title, text string) { s.notes = append(s.notes, note{title, text}) }

// WriteMan writes the manual page of the program, for section 8, in the language of man(7).
func (s *Set) WriteMan(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH %s 8 "" "Nexus" "System Administration"`, roff(strings.ToUpper(s.program)))
	what, _, _ := strings.Cut(strings.TrimPrefix(s.summary, s.program+" is "), ",")
	line(".SH NAME\n%s \\- %s", roff(s.program), roff(what))
	line(".SH SYNOPSIS\n.B %s\n[\\fIFLAG\\fR ...]", roff(s.program))
	line(".SH DESCRIPTION\n%s", roff(s.summary))
	line("Each setting can be a flag (with one or two dashes), a variable of the environment or a key of the\nconfiguration file, which win over each other in this order.")
	line(".SH SETTINGS")
	for _, g := range s.groups {
		line(".SS %s", roff(g.title))
		for _, e := range g.settings {
			e.writeMan(line)
		}
	}
	line(".SS The program")
	line(".TP\n.B \\-config \\fIFILE\\fR\nConfiguration file in YAML; its keys are the names of the flags. Environment: NEXUS_CONFIG.")
	line(".TP\n.B \\-version\nPrint the version and exit.")
	line(".TP\n.B \\-h\nPrint the settings and exit.")
	for _, n := range s.notes {
		line(".SH %s", roff(strings.ToUpper(n.title)))
		for _, text := range strings.Split(n.text, "\n") {
			if word, meaning, ok := strings.Cut(text, "\t"); ok {
				line(".TP\n.B %s\n%s", roff(word), roff(meaning))
				continue
			}
			line("%s", roff(text))
		}
	}
	line(".SH SEE ALSO\n.BR repl (1)\nand the documentation in /usr/share/doc/nexus.")
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *entry) writeMan(line func(string, ...any)) {
	flag := roff("-" + e.Name)
	if kind := e.Value.Kind(); kind != "" {
		flag += ` \fI` + roff(kind) + `\fR`
	}
	line(".TP\n.B %s", flag)
	line("%s", roff(e.Usage))
	if e.Secret {
		line("Better in the environment or the file: flags can be seen by every user of the machine.")
	}
	if d := e.shownDefault(); d != "" {
		line("Default: %s.", roff(d))
	}
	if e.Alias != "" {
		line("Also %s.", roff("-"+e.Alias))
	}
	line("Environment: %s.", EnvName(e.Name))
}

// roff protects what is special in man(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
