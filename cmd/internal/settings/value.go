package settings

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Value is a setting's type: it parses a text into a variable of the caller's.
type Value interface {
	// Set parses text. Its error says what is wrong and what is expected, without naming the setting, and quotes text
	// unless the setting is secret.
	Set(text string) error
	// String returns the current value as Set would accept it.
	String() string
	// Kind is what help calls a value of this type; empty for a switch.
	Kind() string
}

type value struct {
	kind string
	set  func(text string) error
	get  func() string
}

func (v value) Set(text string) error { return v.set(text) }
func (v value) String() string        { return v.get() }
func (v value) Kind() string          { return v.kind }

// String is any text.
func String(p *string) Value {
	return value{"TEXT", func(s string) error { *p = s; return nil }, func() string { return *p }}
}

// Text is text that check accepts. Help calls it kind.
func Text(p *string, kind string, check func(string) error) Value {
	set := func(s string) error {
		if err := check(s); err != nil {
			return err
		}
		*p = s
		return nil
	}
	return value{kind, set, func() string { return *p }}
}

// List is texts that check accepts, separated by commas.
func List(p *[]string, kind string, check func(string) error) Value {
	set := func(s string) error {
		var list []string
		for item := range strings.SplitSeq(s, ",") {
			item = strings.TrimSpace(item)
			if item == "" {
				continue
			}
			if err := check(item); err != nil {
				return err
			}
			list = append(list, item)
		}
		*p = list
		return nil
	}
	return value{kind, set, func() string { return strings.Join(*p, ",") }}
}

// Bool is a switch.
func Bool(p *bool) Value {
	set := func(s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*p = b
		return nil
	}
	return value{"", set, func() string { return strconv.FormatBool(*p) }}
}

// Port is a TCP port.
func Port(p *int) Value {
	set := func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q is not a port, want a number from 1 to 65535", s)
		}
		*p = n
		return nil
	}
	return value{"PORT", set, func() string { return strconv.Itoa(*p) }}
}

// AutoPort stands for a port that the program chooses.
const AutoPort = -1

// OptionalPort is a TCP port, 0 for none, or AutoPort, which is written auto.
func OptionalPort(p *int) Value {
	port := Port(p)
	set := func(s string) error {
		switch {
		case s == "auto":
			*p = AutoPort
		case s == "0":
			*p = 0
		case port.Set(s) != nil:
			return fmt.Errorf("%q is not a port, want a number from 1 to 65535, 0 for none, or auto", s)
		}
		return nil
	}
	get := func() string {
		if *p == AutoPort {
			return "auto"
		}
		return strconv.Itoa(*p)
	}
	return value{"PORT", set, get}
}

// Int is a number from least to most.
func Int(p *int, least, most int) Value {
	set := func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number from %d to %d", s, least, most)
		}
		*p = n
		return nil
	}
	return value{"N", set, func() string { return strconv.Itoa(*p) }}
}

// Count is a number of at least least.
func Count(p *uint64, least uint64) Value {
	set := func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n < least {
			return fmt.Errorf("%q is not a number of at least %d", s, least)
		}
		*p = n
		return nil
	}
	return value{"N", set, func() string { return strconv.FormatUint(*p, 10) }}
}

// Duration is a time span from least to most, such as 500ms or 5s.
func Duration(p *time.Duration, least, most time.Duration) Value {
	set := func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a time span, want a number with a unit, such as 5s or 500ms", s)
		}
		if d < least || d > most {
			return fmt.Errorf("%q is out of range, want %v to %v", s, least, most)
		}
		*p = d
		return nil
	}
	return value{"TIME", set, func() string { return p.String() }}
}

// Choice is one of a few words.
func Choice(p *string, words ...string) Value {
	set := func(s string) error {
		for _, w := range words {
			if s == w {
				*p = s
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", s, strings.Join(words, ", "))
	}
	return value{strings.Join(words, "|"), set, func() string { return *p }}
}

// Level is a level of logging.
func Level(p *slog.Level) Value {
	var word string
	get := func() string { return strings.ToLower(p.String()) }
	choice := Choice(&word, "debug", "info", "warn", "error")
	set := func(s string) error {
		if err := choice.Set(s); err != nil {
			return err
		}
		return p.UnmarshalText([]byte(word))
	}
	return value{choice.Kind(), set, get}
}
