// Package browser drives Debian's chromium without a window, for tests that look at a page as a person does. It speaks
// the few words of the DevTools protocol that this takes.
package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

// Browser is a running chromium. Its methods are for one goroutine.
type Browser struct {
	cmd     *exec.Cmd
	exited  chan struct{}
	profile string
	conn    *websocket.Conn
	next    int
	end     sync.Once
}

// Path returns where chromium is, or an error that says how to get it.
func Path() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no chromium: apt-get install chromium")
}

// Start starts a browser with a profile of its own, which Close removes.
func Start(ctx context.Context, path string) (*Browser, error) {
	profile, err := os.MkdirTemp("", "nexus-browser-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-extensions", "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-port=0",
		"--remote-allow-origins=*", "--user-data-dir="+profile, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is several processes
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", path, err), os.RemoveAll(profile))
	}
	b := &Browser{cmd: cmd, exited: make(chan struct{}), profile: profile}
	go func() {
		defer close(b.exited)
		_ = cmd.Wait() // it is killed in the end
	}()
	if b.conn, err = b.connect(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// connect waits for the file in which chromium tells its port.
func (b *Browser) connect(ctx context.Context) (*websocket.Conn, error) {
	for {
		text, err := os.ReadFile(filepath.Join(b.profile, "DevToolsActivePort"))
		if port, path, ok := strings.Cut(string(text), "\n"); err == nil && ok {
			return websocket.Dial("ws://127.0.0.1:"+port+path, "", "http://127.0.0.1/")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-b.exited:
			return nil, errors.New("chromium ended at once")
		case <-ctx.Done():
			return nil, fmt.Errorf("chromium does not tell its port: %w", context.Cause(ctx))
		}
	}
}

// Close ends the browser.
func (b *Browser) Close() (err error) {
	b.end.Do(func() {
		if b.conn != nil {
			b.conn.Close()
		}
		err = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		<-b.exited
		for range 50 { // its children may still be writing into the profile
			if err2 := os.RemoveAll(b.profile); err2 == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		err = errors.Join(err, os.RemoveAll(b.profile))
	})
	return err
}

// call calls a method, of a page if session is not empty, and decodes what it returns into result.
func (b *Browser) call(ctx context.Context, session, method string, params, result any) error {
	b.next++
	request := map[string]any{"id": b.next, "method": method, "params": params}
	if session != "" {
		request["sessionId"] = session
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := b.conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := websocket.JSON.Send(b.conn, request); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := websocket.JSON.Receive(b.conn, &answer); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case answer.ID != b.next: // an event
			continue
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", method, answer.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

// Page is an open page.
type Page struct {
	b       *Browser
	session string
}

// View is how a page is looked at.
type View struct {
	Width, Height int
	Phone         bool
	Dark          bool
	NoScripts     bool
}

// Open opens a page and waits until it is loaded.
func (b *Browser) Open(ctx context.Context, url string, v View) (*Page, error) {
	var target struct{ TargetID string }
	if err := b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	p := &Page{b, attached.SessionID}
	scheme := map[bool]string{false: "light", true: "dark"}[v.Dark]
	for _, step := range []struct {
		method string
		params map[string]any
	}{
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": v.Width, "height": v.Height, "deviceScaleFactor": 1, "mobile": v.Phone}},
		{"Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}},
		{"Emulation.setScriptExecutionDisabled", map[string]any{"value": v.NoScripts}},
		{"Page.navigate", map[string]any{"url": url}},
	} {
		if err := b.call(ctx, p.session, step.method, step.params, nil); err != nil {
			return nil, err
		}
	}
	return p, p.Await(ctx, `document.readyState === "complete" && location.href !== "about:blank"`)
}

// Eval evaluates an expression in the page and decodes its value into result.
func (p *Page) Eval(ctx context.Context, expression string, result any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.b.call(ctx, p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		return fmt.Errorf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// Await waits until a condition holds.
func (p *Page) Await(ctx context.Context, condition string) error {
	for {
		var holds bool
		if err := p.Eval(ctx, condition, &holds); err != nil {
			return err
		}
		if holds {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s does not come true: %w", condition, context.Cause(ctx))
		}
	}
}

// Screenshot writes a picture of the whole page as PNG.
func (p *Page) Screenshot(ctx context.Context, path string) error {
	var answer struct{ Data string }
	err := p.b.call(ctx, p.session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &answer)
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(answer.Data)
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	return os.WriteFile(path, data, 0o644)
}
