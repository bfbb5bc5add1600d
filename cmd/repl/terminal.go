package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/nexus-replication/nexus/cmd/internal/progress"
)

// terminalSize returns the size of the terminal w; one that is usual where it is not known.
func terminalSize(w io.Writer) (columns, lines int) {
	if f, ok := w.(*os.File); ok {
		if columns, lines, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && lines > 0 {
			return columns, lines
		}
	}
	return 100, 30
}

// wantsColour follows no-color.org.
func wantsColour(w io.Writer, getenv func(string) string) bool {
	return progress.IsTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// colour is a parameter of the terminal's "select graphic rendition".
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// cell is a part of a table.
type cell struct {
	text   string
	colour colour
	right  bool
}

// table is lines of cells, the columns as wide as they must be. Colours do not count.
func writeTable(rows [][]cell, coloured bool) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if coloured && c.colour != plain {
				text = "\x1b[" + string(c.colour) + "m" + text + "\x1b[0m"
			}
			switch {
			case c.right:
				b.WriteString(space + text)
			case i == len(row)-1:
				b.WriteString(text)
			default:
				b.WriteString(text + space)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// screen is the terminal's second screen, on which something is shown until it is left.
type screen struct{ w io.Writer }

func enterScreen(w io.Writer) (*screen, error) {
	_, err := io.WriteString(w, "\x1b[?1049h\x1b[?25l")
	return &screen{w}, err
}

// show replaces what is on the screen, line by line, so that it does not flicker.
func (s *screen) show(text string, columns, lines int) error {
	var b strings.Builder
	b.WriteString("\x1b[H")
	shown := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range shown[:min(len(shown), lines-1)] {
		b.WriteString(cut(line, columns) + "\x1b[0m\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(s.w, b.String())
	return err
}

func (s *screen) leave() { _, _ = io.WriteString(s.w, "\x1b[?25h\x1b[?1049l") }

// cut shortens a line to so many columns; what colours it takes none.
func cut(line string, columns int) string {
	used, escape := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case used == columns:
			return line[:i]
		default:
			used++
		}
	}
	return line
}
