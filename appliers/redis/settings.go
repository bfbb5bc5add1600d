package redis

import (
	"errors"
	"fmt"
)

// setting is a parameter of the server.
type setting struct{ name, value string }

// override gives parameters other values for a while, and returns those that it changed with their former values, also
// beside an error. A parameter that this server does not have is left out.
func override(c *conn, wanted ...setting) (former []setting, err error) {
	for _, w := range wanted {
		raw, err := c.one("CONFIG", "GET", w.name)
		if err != nil {
			return former, fmt.Errorf("CONFIG GET %s: %w", w.name, err)
		}
		value, ok := configValue(raw)
		if !ok || value == w.value {
			continue
		}
		if _, err := c.one("CONFIG", "SET", w.name, w.value); err != nil {
			return former, fmt.Errorf("CONFIG SET %s %s: %w", w.name, w.value, err)
		}
		former = append(former, setting{w.name, value})
	}
	return former, nil
}

// lentSettings are the former values of parameters that could not be given back yet to the process of the server that
// has others now.
type lentSettings struct {
	runID    string
	settings []setting
}

// add notes what override changed, which it did once only.
func (l *lentSettings) add(runID string, former []setting) {
	if l.runID != runID {
		*l = lentSettings{runID: runID}
	}
	l.settings = append(l.settings, former...)
}

// giveBack gives back what is due to the process that c is connected to.
func (l *lentSettings) giveBack(c *conn) error {
	err := giveBack(c, l.settings)
	if err == nil {
		l.settings = nil
	}
	return err
}

// giveBack undoes override.
func giveBack(c *conn, former []setting) error {
	var errs []error
	for _, f := range former {
		if _, err := c.one("CONFIG", "SET", f.name, f.value); err != nil {
			errs = append(errs, fmt.Errorf("CONFIG SET %s %s: %w", f.name, f.value, err))
		}
	}
	return errors.Join(errs...)
}

// configValue takes the value from a raw reply to CONFIG GET for one parameter.
func configValue(raw []byte) (value string, ok bool) {
	n, rest, ok := cutHead(raw, '*')
	if !ok || n != 2 {
		return "", false
	}
	if _, rest, ok = cutBulk(rest); !ok {
		return "", false
	}
	text, _, ok := cutBulk(rest)
	return string(text), ok
}
