// Goredis uses go-redis as an application does: goredis tour|work PROTOCOL PREFIX INSTANCE ADDRESS,... It is built for v8
// with the tag goredis8, and for v9 without.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	mode, protocol, prefix, instance, addresses := os.Args[1], os.Args[2], os.Args[3], os.Args[4], strings.Split(os.Args[5], ",")
	report("version", version+", RESP"+protocol, nil)
	p := &program{prefix: prefix, instance: instance, addresses: addresses, resp2: protocol == "2"}
	run := p.work
	if mode == "tour" {
		run = p.tour
	}
	if err := run(context.Background()); err != nil {
		fail(err)
	}
	report("done", "", nil)
}

type program struct {
	prefix, instance string
	addresses        []string
	resp2            bool
	turn             atomic.Int64
}

// dial goes on to the next address when one cannot be reached.
func (p *program) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var failed error
	for range p.addresses {
		addr := p.addresses[int(p.turn.Load())%len(p.addresses)]
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		failed = err
		p.turn.Add(1)
	}
	return nil, failed
}

// persistent is for what may be done twice: the library sends again what was lost.
func (p *program) persistent() *client {
	return p.client(20)
}

// careful is for what may not be done twice: the library sends nothing again.
func (p *program) careful() *client {
	return p.client(-1)
}

func (p *program) client(retries int) *client {
	opts := &options{Addr: p.addresses[0], Dialer: p.dial, MaxRetries: retries, ReadTimeout: 8 * time.Second}
	setProtocol(opts, p.resp2)
	return newClient(opts)
}

// key is a key of this run.
func (p *program) key(name string) string { return p.prefix + ":" + name }

// fill replaces {p} and {id} in texts.
func (p *program) fill(texts []string, id string) []string {
	r := strings.NewReplacer("{p}", p.prefix, "{id}", id)
	filled := make([]string, len(texts))
	for i, text := range texts {
		filled[i] = r.Replace(text)
	}
	return filled
}

func args(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}

var output sync.Mutex

func report(event, name string, more map[string]string) {
	line := map[string]string{"event": event, "name": name}
	for k, v := range more {
		line[k] = v
	}
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		os.Exit(1)
	}
}

func fail(err error) {
	report("error", "", map[string]string{"error": err.Error()})
	os.Exit(1)
}

func readTable(name string, into any) error {
	content, err := os.ReadFile(name) // the test runs programs in their directory
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
