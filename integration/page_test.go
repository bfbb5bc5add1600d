package integration

import (
	"context"
	"flag"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/browser"
	"github.com/nexus-replication/nexus/integration/cluster"
)

var pictures = flag.String("pictures", "", "directory for pictures of the status page")

// startBrowser returns a browser that ends with the test, or skips the test.
func startBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	path, err := browser.Path()
	if err != nil {
		t.Skipf("NOT TESTED: the status page in a browser: %v", err)
	}
	b := must(browser.Start(within(t, 60*time.Second), path))(t)
	t.Cleanup(func() { check(t, b.Close()) })
	return b
}

// look opens the status page of a node.
func look(ctx context.Context, t *testing.T, b *browser.Browser, n *cluster.Node, v browser.View) *browser.Page {
	t.Helper()
	return must(b.Open(ctx, "http://"+n.MetricsAddr()+"/", v))(t)
}

func eval[T any](ctx context.Context, t *testing.T, p *browser.Page, expression string) (value T) {
	t.Helper()
	check(t, p.Eval(ctx, expression, &value))
	return value
}

// keep writes a picture where -pictures asks for them.
func keep(ctx context.Context, t *testing.T, p *browser.Page, name string) {
	t.Helper()
	if *pictures != "" {
		check(t, p.Screenshot(ctx, filepath.Join(*pictures, name+".png")))
	}
}

// fits reports how much wider the page is than the screen.
const fits = `document.documentElement.scrollWidth - window.innerWidth`

// TestStatusPageInBrowser looks at the page of a live cluster under load: on a wide screen, on a phone, in the dark, and
// without scripts.
func TestStatusPageInBrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	c := startCluster(t)
	leader := must(c.Leader(within(t, 40*time.Second)))(t)
	l := startLoad(t, c.Nodes, 6)
	l.awaitProgress(t, 50)
	ctx := within(t, 120*time.Second)
	wide := look(ctx, t, b, leader, browser.View{Width: 1280, Height: 900})

	// Each chart has two lines with an area below, and the lines go on growing.
	const drawn = `document.querySelectorAll("#rates polyline").length === 2 && document.querySelectorAll("#times polyline").length >= 1`
	check(t, wide.Await(ctx, drawn))
	const length = `document.querySelector("#rates polyline").points.numberOfItems`
	before := eval[int](ctx, t, wide, length)
	check(t, wide.Await(ctx, length+" > "+strconv.Itoa(before)+" + 3"))
	if got := eval[string](ctx, t, wide, `byId("writeRate").textContent`); got == "-" || got == "0" {
		t.Errorf("writes a second: %q", got)
	}
	if got := eval[string](ctx, t, wide, `byId("writeTime").textContent`); !strings.HasSuffix(got, " ms") {
		t.Errorf("latency of writes: %q", got)
	}
	members := eval[string](ctx, t, wide, `byId("members").innerText`)
	for _, n := range c.Nodes {
		if !strings.Contains(members, n.URL()) {
			t.Errorf("the members lack %s: %s", n.URL(), members)
		}
	}
	if strings.Count(members, "leader") != 1 || strings.Count(members, "follower") != 2 || eval[string](ctx, t, wide, `byId("healthy").textContent`) != "3 of 3" {
		t.Errorf("the members are %s", members)
	}
	if eval[int](ctx, t, wide, `byId("events").rows.length`) < 3 {
		t.Error("no events are shown")
	}
	const messages = `[...byId("events").rows].map(r => r.querySelector("b").textContent + "|" + r.querySelector("span").textContent).join("\n")`
	if got := eval[string](ctx, t, wide, messages); !strings.Contains(got, "running| bind=127.0.0.1 ") {
		t.Errorf("the events are %q", got)
	}
	if over := eval[int](ctx, t, wide, fits); over > 0 {
		t.Errorf("the page is %d pixels wider than a screen of 1280", over)
	}
	phone := look(ctx, t, b, leader, browser.View{Width: 360, Height: 740, Phone: true, Dark: true})
	check(t, phone.Await(ctx, drawn))
	for name, p := range map[string]*browser.Page{"360": phone, "320": look(ctx, t, b, leader, browser.View{Width: 320, Height: 600, Phone: true})} {
		if over := eval[int](ctx, t, p, fits); over > 0 {
			t.Errorf("the page is %d pixels wider than a phone of %s", over, name)
		}
	}
	keep(ctx, t, wide, "wide")
	keep(ctx, t, phone, "phone")

	plain := look(ctx, t, b, leader, browser.View{Width: 1280, Height: 900, NoScripts: true})
	if got := eval[string](ctx, t, plain, `document.querySelector("table.members").innerText`); strings.Count(got, "http://") != 3 || !strings.Contains(got, "leader") {
		t.Errorf("without scripts the members are %q", got)
	}
	if eval[bool](ctx, t, plain, `[...document.querySelectorAll(".script")].some(e => e.offsetParent !== null)`) {
		t.Error("without scripts there are places for what only scripts fill")
	}
	keep(ctx, t, plain, "plain")

	// A member that is gone is shown as such, and the page says so when its own node is.
	gone := must(c.Follower(within(t, 40*time.Second)))(t)
	check(t, gone.Kill())
	check(t, wide.Await(ctx, `byId("members").innerText.includes("unreachable") && byId("healthy").textContent === "2 of 3"`))
	keep(ctx, t, wide, "gone")
	l.finish()
	check(t, leader.Stop(20*time.Second))
	check(t, wide.Await(ctx, `byId("stale").textContent !== ""`))
}
