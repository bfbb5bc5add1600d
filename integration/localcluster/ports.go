package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// How long ports are waited for that connections hold: a closed one holds its port for another minute (TIME_WAIT).
const (
	portsWait = 75 * time.Second
	portsLook = 500 * time.Millisecond
)

// port is one that a local cluster needs.
type port struct {
	number int
	owner  string
}

func (p port) String() string { return fmt.Sprintf("port %d (%s)", p.number, p.owner) }

// holder is who has a port already.
type holder struct {
	who        string
	connection bool // not a server: it goes away by itself
}

// reservation keeps ports from becoming those of outgoing connections, also while the server that belongs there is down.
type reservation struct{ held []io.Closer }

func (r *reservation) Close() error {
	var errs []error
	for _, h := range r.held {
		errs = append(errs, h.Close())
	}
	r.held = nil
	return errors.Join(errs...)
}

// reservePorts takes all ports, or says who has them. It waits, for a while, for those that only connections have: fixed
// ports may lie in the range from which the system takes the near ends of connections.
func reservePorts(ctx context.Context, ports []port, wait time.Duration, out io.Writer) (*reservation, error) {
	r := new(reservation)
	deadline := time.Now().Add(wait)
	told := false
	for {
		var taken []taken
		ports, taken = r.take(ports)
		if len(taken) == 0 {
			return r, nil
		}
		if err := refusal(taken, time.Now().After(deadline)); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if !told {
			told = true
			fmt.Fprintf(out, "Waiting up to %v for %s\n", wait, list(taken))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), r.Close())
		case <-time.After(portsLook):
		}
	}
}

// taken is a port that somebody else has.
type taken struct {
	port port
	by   holder
}

// take reserves what is free and returns the rest.
func (r *reservation) take(ports []port) (left []port, others []taken) {
	for _, p := range ports {
		held, err := hold(p.number)
		if err == nil {
			r.held = append(r.held, held)
			continue
		}
		left = append(left, p)
		others = append(others, taken{p, holderOf(p.number, err)})
	}
	return left, others
}

// refusal is nil while it is worth waiting.
func refusal(ports []taken, late bool) error {
	var servers []taken
	for _, t := range ports {
		if !t.by.connection {
			servers = append(servers, t)
		}
	}
	switch {
	case len(servers) > 0:
		return fmt.Errorf("in use on this machine: %s. Is another local cluster running? Stop what listens there, or choose other ports (localcluster -h)",
			list(servers))
	case late:
		var numbers []string
		for _, t := range ports {
			numbers = append(numbers, fmt.Sprint(t.port.number))
		}
		return fmt.Errorf("still in use on this machine: %s. Close it, or choose other ports (localcluster -h). "+
			"With %s in net.ipv4.ip_local_reserved_ports (sysctl, as root) connections stay away from there", list(ports), strings.Join(numbers, ","))
	}
	return nil
}

// mostListed keeps a message readable where each of thirty ports is in use.
const mostListed = 3

func list(ports []taken) string {
	var texts []string
	for _, t := range ports[:min(mostListed, len(ports))] {
		texts = append(texts, t.port.String()+": "+t.by.who)
	}
	text := strings.Join(texts, "; ")
	if more := len(ports) - mostListed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
