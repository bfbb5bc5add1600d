package settings

import (
	"fmt"
	"io"
	"strings"
)

// WriteHelp writes what -h prints.
func (s *Set) WriteHelp(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: %s [flags]\n\n", s.summary, s.program)
	b.WriteString("Each setting can be a flag (with one or two dashes), a variable of the environment or a key of the\n" +
		"configuration file, which win over each other in this order.\n")
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		for _, e := range g.settings {
			e.writeHelp(&b)
		}
	}
	b.WriteString("\nThe program\n" +
		"  -config FILE  [NEXUS_CONFIG]\n      Configuration file in YAML; its keys are the names of the flags.\n" +
		"  -version\n      Print the version and exit.\n" +
		"  -h\n      Print this and exit.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *entry) writeHelp(b *strings.Builder) {
	fmt.Fprintf(b, "  -%s", e.Name)
	if kind := e.Value.Kind(); kind != "" {
		fmt.Fprintf(b, " %s", kind)
	}
	fmt.Fprintf(b, "  [%s]\n      %s", EnvName(e.Name), e.Usage)
	if e.Secret {
		b.WriteString(" Better in the environment or the file: flags can be seen by every user of the machine.")
	}
	if d := e.shownDefault(); d != "" {
		fmt.Fprintf(b, " Default: %s.", d)
	}
	if e.Alias != "" {
		fmt.Fprintf(b, " Also -%s.", e.Alias)
	}
	b.WriteByte('\n')
}

func (e *entry) shownDefault() string {
	if e.Default != "" {
		return e.Default
	}
	return e.defaultText
}

// WriteSample writes a configuration file that shows every setting with its default, commented out.
func (s *Set) WriteSample(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of %s. Start it with -config FILE or NEXUS_CONFIG=FILE.\n", s.program)
	b.WriteString("# Every key is also a flag and, in brackets, a variable of the environment; both win over this file.\n" +
		"# What is commented out shows the default.\n")
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n# ---- %s\n", g.title)
		for _, e := range g.settings {
			fmt.Fprintf(&b, "\n# %s [%s]\n", e.Usage, EnvName(e.Name))
			if e.Default != "" {
				fmt.Fprintf(&b, "# Default: %s.\n", e.Default)
			}
			fmt.Fprintf(&b, "#%s: %s\n", e.Name, sampleValue(e.defaultText))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sampleValue(text string) string {
	if text == "" || strings.ContainsAny(text, ":#,") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
