package main

import (
	"fmt"
	"io"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/progress"
)

// watch shows the status again and again, until it is interrupted or has shown it -count times.
func (s *session) watch([]string) error {
	return s.repeat(func(view *seen) (any, string) { return jsonStatus(view), statusText(view, s.coloured) })
}

// repeat shows what draw makes of the cluster every interval: on a screen of its own on a terminal, else one after the
// other. A node that does not answer is shown as such, and asked again.
func (s *session) repeat(draw func(view *seen) (value any, text string)) error {
	var display *screen
	if progress.IsTerminal(s.out) && !s.json {
		var err error
		if display, err = enterScreen(s.out); err != nil {
			return err
		}
		defer display.leave()
	}
	for shown := 0; ; {
		view, err := s.look()
		if s.ctx.Err() != nil {
			return nil // by whom or what it was to end
		}
		if err != nil && shown == 0 {
			return err // it never was a node
		}
		shown++
		if err := s.present(display, view, err, draw); err != nil {
			return err
		}
		if s.count > 0 && shown >= s.count {
			return nil
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-time.After(s.interval):
		}
	}
}

func (s *session) present(display *screen, view *seen, failed error, draw func(*seen) (any, string)) error {
	if failed != nil {
		text := fmt.Sprintf("%s  %v\n", time.Now().Format(time.TimeOnly), failed)
		if display == nil {
			_, err := io.WriteString(s.progress, text)
			return err
		}
		columns, lines := terminalSize(s.out)
		return display.show(text, columns, lines)
	}
	value, text := draw(view)
	if s.json {
		return s.printJSON(value)
	}
	if display == nil {
		_, err := fmt.Fprintf(s.out, "%s\n%s\n", view.at.Format(time.TimeOnly), text)
		return err
	}
	columns, lines := terminalSize(s.out)
	return display.show(fmt.Sprintf("%s  every %v, Ctrl-C ends\n\n%s", view.at.Format(time.TimeOnly), s.interval, text), columns, lines)
}
