package main

import (
	"fmt"
	"strings"
	"time"
)

// flagHelp is a flag as a person reads of it.
type flagHelp struct{ name, value, text string }

func flagsHelp() []flagHelp {
	return []flagHelp{
		{"json", "", "print JSON, also errors: an object on standard error"},
		{"timeout", "TIME", "give up after this time: 1m0s by default, an hour for what may have to move all data, never for watch and top"},
		{"force", "", "removeNode: even if the rest is no majority; backup: replace a FILE that is there"},
		{"interval", "TIME", "watch, top: time between two looks (2s)"},
		{"count", "N", "watch, top: end after N looks"},
		{"tls-ca", "FILE", "use TLS and trust this authority; also NEXUS_TLS_CA"},
		{"tls-cert", "FILE", "certificate to show to the node; also NEXUS_TLS_CERT"},
		{"tls-key", "FILE", "its key; also NEXUS_TLS_KEY"},
		{"token-file", "FILE", "file with the token of the node; or the token itself as NEXUS_GRPC_TOKEN"},
		{"version", "", "print the version"},
		{"h", "", "print this, or behind a verb what it does"},
	}
}

func flagNames() []string {
	var names []string
	for _, f := range flagsHelp() {
		names = append(names, "-"+f.name)
	}
	return names
}

const (
	about = "repl talks to a node of Nexus on its gRPC port (-grpcPort, 9121 by default)."
	exits = "Exit status: 0 done, 1 failed, 2 wrong usage."
)

// summary is the first line of the help.
func (v *verb) summary() string {
	first, _, _ := strings.Cut(v.help, "\n")
	return first
}

func helpFor(v *verb) string {
	var b strings.Builder
	if v != nil {
		fmt.Fprintf(&b, "Usage: repl %s\n\n%s\n", v.line(), v.help)
		for _, e := range v.examples {
			fmt.Fprintf(&b, "  $ repl %s\n", e)
		}
		if len(v.examples) > 0 {
			b.WriteByte('\n')
		}
		if v.slow {
			fmt.Fprintf(&b, "It gives up after %v if -timeout does not say otherwise.\n\n", time.Hour)
		}
	} else {
		b.WriteString(about + "\n\nUsage: repl HOST:PORT VERB ...\n\nVerbs (repl VERB -h says more):\n")
		for _, v := range verbs() {
			fmt.Fprintf(&b, "  %-32s %s\n", v.usage, v.summary())
		}
		b.WriteByte('\n')
	}
	b.WriteString("Flags, anywhere, with one dash or two:\n")
	for _, f := range flagsHelp() {
		fmt.Fprintf(&b, "  %-17s %s\n", strings.TrimSpace("-"+f.name+" "+f.value), f.text)
	}
	b.WriteString("\nColours are left out with NO_COLOR set, and where the output is not a terminal.\n" + exits + "\n")
	return b.String()
}

// line is how the verb is written.
func (v *verb) line() string {
	if v.offline {
		return v.usage
	}
	return "HOST:PORT " + v.usage
}

// manPage is the page of section 1, in the language of man(7).
func manPage() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH REPL 1 "" "Nexus" "User Commands"`)
	line(".SH NAME\nrepl \\- command line of the operator of Nexus")
	line(".SH SYNOPSIS\n.B repl\n.I HOST:PORT VERB\n[\\fIARGUMENT\\fR ...] [\\fIFLAG\\fR ...]")
	line(".SH DESCRIPTION\n%s", roff(about))
	line("Any node answers; what has to be done by the leader is handed to it.")
	line("An error that begins with \"outcome unknown:\" means that.")
	line(".SH VERBS")
	for _, v := range verbs() {
		line(".TP\n.B %s", roff(v.usage))
		for _, paragraph := range strings.Split(strings.TrimSpace(v.help), "\n\n") {
			line("%s", roff(strings.ReplaceAll(paragraph, "\n", " ")))
		}
	}
	line(".SH FLAGS")
	for _, f := range flagsHelp() {
		line(".TP\n.B %s", roff(strings.TrimSpace("-"+f.name+" "+f.value)))
		line("%s.", roff(f.text))
	}
	line(".SH ENVIRONMENT\nNEXUS_TLS_CA, NEXUS_TLS_CERT, NEXUS_TLS_KEY and NEXUS_GRPC_TOKEN: see the flags.\nNO_COLOR leaves colours out.")
	line(".SH EXIT STATUS\n0: done. 1: failed. 2: wrong usage.")
	line(".SH EXAMPLES")
	for _, v := range verbs() {
		for _, e := range v.examples {
			line(".nf\nrepl %s\n.fi", roff(e))
		}
	}
	line(".SH SEE ALSO\nredis_repl \\-h, mysql_repl \\-h, and the documentation that comes with Nexus.")
	return b.String()
}

// roff protects what is special in man(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
