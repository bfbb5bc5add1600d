//go:build clients

package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// doer is the Do of a client.
type doer func(ctx context.Context, args ...any) *redis.Cmd

// effect is one of effects.json.
type effect struct {
	Name       string     `json:"name"`
	Repeatable bool       `json:"repeatable"`
	Found      [][]string `json:"found"` // commands whose replies have the id, or texts that end with it
}

// work is programs that share keys.
type work struct {
	prefix   string
	programs []*program
}

// awaitProgress waits until each of programs has n more acknowledgements of each effect.
func (w *work) awaitProgress(t *testing.T, programs []*program, n int) {
	t.Helper()
	for _, p := range programs {
		goal := count(p.all(), "ack")
		for _, e := range effects(t) {
			goal[e.Name] += n
		}
		deadline := time.Now().Add(45 * time.Second)
		for missing := "?"; missing != ""; {
			check(t, p.broken())
			missing = ""
			now := count(p.all(), "ack")
			for name, want := range goal {
				if now[name] < want {
					missing = fmt.Sprintf("%d acknowledgements of %s, want %d", now[name], name, want)
				}
			}
			if missing != "" && time.Now().After(deadline) {
				t.Fatalf("%v makes no progress: %s; its last events: %v", p.cmd.Args, missing, last(p.all(), 5))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// finish tells the programs to end, and waits.
func (w *work) finish(t *testing.T) {
	t.Helper()
	for _, p := range w.programs {
		check(t, p.stdin.Close())
	}
	for _, p := range w.programs {
		p.awaitEnd(t, time.Minute)
	}
}

// judge looks for what was acknowledged and taken.
func (w *work) judge(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	db := c.Nodes[1].Client(0)
	defer db.Close()
	ctx := within(t, time.Minute)
	var events []event
	for _, p := range w.programs {
		all := p.all()
		events = append(events, all...)
		w.judgeNews(t, all)
	}
	acked, unknown, took := ids(events, "ack"), ids(events, "unknown"), ids(events, "took")
	for _, e := range effects(t) {
		for _, command := range e.Found {
			found, err := w.find(ctx, db.Do, command, acked[e.Name], unknown[e.Name])
			check(t, err)
			judgeFound(t, fmt.Sprintf("%s in %s", e.Name, command[1]), e.Repeatable, acked[e.Name], unknown[e.Name], found)
		}
	}
	w.judgeQueue(t, acked["queue"], unknown["queue"], took["queue"], len(names(events, "failed")))
	for id := range acked["stream"] {
		if took["stream"][id] == 0 {
			t.Errorf("%s was added to the stream and never delivered", id)
		}
	}
	for list, length := range map[string]string{"watched": "watched:length", "scripted": "scripted:length"} {
		n, err := db.LLen(ctx, w.prefix+":"+list).Result()
		check(t, err)
		if got, err := db.Get(ctx, w.prefix+":"+length).Result(); err != nil || got != strconv.FormatInt(n, 10) {
			t.Errorf("%s has %d elements, counted %s, %v", list, n, got, err)
		}
	}
	t.Logf("%s: %d effects acknowledged, %d of unknown outcome, %d elements taken", names(events, "version")[0], total(acked), total(unknown), total(took))
}

// judgeFound compares how often each id is there with what was told of it.
func judgeFound(t *testing.T, what string, repeatable bool, acked, unknown, found map[string]int) {
	t.Helper()
	for id := range acked {
		if found[id] == 0 {
			t.Errorf("%s: %s was acknowledged and is lost", what, id)
		}
	}
	for id, n := range found {
		if n > 1 {
			t.Errorf("%s: %s is there %d times", what, id, n)
		}
		if acked[id]+unknown[id] == 0 && !repeatable {
			t.Errorf("%s: %s is there, but was refused or never sent", what, id)
		}
	}
}

// judgeQueue checks that what was pushed was popped once. A consumer whose pop failed may have lost what it popped.
func (w *work) judgeQueue(t *testing.T, acked, unknown, took map[string]int, failed int) {
	t.Helper()
	var lost []string
	for id := range acked {
		if took[id] == 0 {
			lost = append(lost, id)
		}
	}
	if len(lost) > failed {
		t.Errorf("%d pops failed, but %d elements were pushed and never popped: %v", failed, len(lost), lost)
	}
	for id, n := range took {
		if n > 1 || acked[id]+unknown[id] == 0 {
			t.Errorf("%s was popped %d times, pushed %d times", id, n, acked[id]+unknown[id])
		}
	}
}

// judgeNews checks that a subscriber hears each publisher in order, and nothing twice.
func (w *work) judgeNews(t *testing.T, events []event) {
	t.Helper()
	heard := map[string]int{}
	for _, e := range events {
		publisher, n, _ := strings.Cut(e.ID, "-")
		number, err := strconv.Atoi(n)
		if e.Event != "took" || e.Name != "news" || err != nil {
			continue
		}
		if before, ok := heard[publisher]; ok && number <= before {
			t.Errorf("a subscriber hears %s after %s-%d", e.ID, publisher, before)
		}
		heard[publisher] = number
	}
	if len(heard) != len(w.programs) {
		t.Errorf("a subscriber has heard %v, want all of %d publishers", heard, len(w.programs))
	}
}

// find asks a command of an effect for all ids and counts them. One that names an id is asked for each.
func (w *work) find(ctx context.Context, do doer, command []string, known ...map[string]int) (map[string]int, error) {
	found := map[string]int{}
	ids := []string{""}
	if strings.Contains(strings.Join(command, " "), "{id}") {
		ids = nil
		for _, m := range known {
			for id := range m {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range ids {
		var args []any
		for _, arg := range command {
			args = append(args, strings.NewReplacer("{p}", w.prefix, "{id}", id).Replace(arg))
		}
		reply, err := do(ctx, args...).Result()
		if err != nil && reply == nil && id != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", args, err)
		}
		countTexts(found, reply)
	}
	return found, nil
}

func countTexts(found map[string]int, reply any) {
	switch v := reply.(type) {
	case []any:
		for _, item := range v {
			countTexts(found, item)
		}
	case string:
		if strings.HasPrefix(v, "at") { // an id, and no field or id of a stream
			found[v]++
		}
	}
}

func effects(t *testing.T) []effect {
	t.Helper()
	content, err := os.ReadFile("programs/effects.json")
	check(t, err)
	var file struct {
		Effects []effect `json:"effects"`
	}
	check(t, json.Unmarshal(content, &file))
	return file.Effects
}

// count counts the events of a kind by their names.
func count(events []event, kind string) map[string]int {
	counts := map[string]int{}
	for _, name := range names(events, kind) {
		counts[name]++
	}
	return counts
}

// ids counts the ids of the events of a kind, for each name.
func ids(events []event, kind string) map[string]map[string]int {
	counts := map[string]map[string]int{}
	for _, e := range events {
		if e.Event != kind {
			continue
		}
		if counts[e.Name] == nil {
			counts[e.Name] = map[string]int{}
		}
		counts[e.Name][e.ID]++
	}
	return counts
}

func total(counts map[string]map[string]int) (sum int) {
	for _, m := range counts {
		sum += len(m)
	}
	return sum
}
