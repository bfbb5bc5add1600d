//go:build clients

package mysql

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-replication/nexus/integration/cluster"
)

// WordPress, as Debian has it, is installed through a node, answers its front page, publishes a post, and goes on when the
// leader dies.
func TestWordPress(t *testing.T) {
	need(t, []string{"php", "-r", "exit(extension_loaded('mysqli') && extension_loaded('xml') ? 0 : 1);"}, "php-cli", "php-mysql", "php-xml")
	c, leader := startCluster(t)
	follower, err := c.Follower(within(t, 20*time.Second))
	check(t, err)
	createDatabase(t, follower, "wordpress")
	site := startWordPress(t, follower)

	page := post(t, site+"/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {"Nexus's weblog"}, "user_name": {"editor"}, "admin_password": {"Secret.12345"}, "admin_password2": {"Secret.12345"},
		"pw_weak": {"on"}, "admin_email": {"editor@example.org"}, "blog_public": {"0"}, "language": {""},
	})
	if !strings.Contains(page, "WordPress has been installed") {
		t.Fatalf("the installation answers\n%s", page)
	}
	if page := get(t, site+"/"); !strings.Contains(page, "Hello world!") || !strings.Contains(page, "weblog") {
		t.Fatalf("the front page is\n%s", page)
	}
	publish(t, site, "Read after write 😀")
	check(t, leader.Kill())
	next, err := c.Leader(within(t, 60*time.Second))
	check(t, err)
	if next != follower {
		check(t, follower.AwaitReady(within(t, 60*time.Second)))
	}
	eventually(t, func() error {
		page, err := fetch(site + "/")
		if err == nil && !strings.Contains(page, "Read after write") {
			err = fmt.Errorf("the front page is\n%s", page)
		}
		return err
	})
	publish(t, site, "Written after the leader died")
	if got := mustQuery(t, open(t, follower), "SELECT COUNT(*) FROM wordpress.wp_posts WHERE post_status='publish' AND post_type='post'"); got != "3" {
		t.Errorf("%s posts are published, want 3", got)
	}
	check(t, leader.StartReady(within(t, 60*time.Second)))
	awaitEqual(t, c)
	verify(t, c)
}

// startWordPress serves a WordPress that has its data behind n, and returns its address.
func startWordPress(t *testing.T, n *cluster.Node) string {
	t.Helper()
	dir := unpackWordPress(t)
	port, err := cluster.FreePort()
	check(t, err)
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	check(t, os.WriteFile(filepath.Join(dir, "wp-config.php"), fmt.Appendf(nil, `<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'app'); define('DB_PASSWORD', 'app'); define('DB_HOST', '127.0.0.1:%d');
define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', ''); define('WP_HOME', '%s'); define('WP_SITEURL', '%s');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $key) { define($key, $key); }
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
`, n.Ports.Client, site, site), 0o600))
	cmd := exec.Command("php", "-d", "sendmail_path=/bin/true", "-S", fmt.Sprintf("127.0.0.1:%d", port), "-t", dir)
	cmd.Env = append(os.Environ(), "PHP_CLI_SERVER_WORKERS=4") // it asks itself for pages
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its workers
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	eventually(t, func() error {
		_, err := fetch(site + "/readme.html")
		return err
	})
	return site
}

// unpackWordPress unpacks Debian's packages of WordPress, and returns where PHP finds it. They are not installed: that would
// bring a web server, and a configuration for all of the machine.
func unpackWordPress(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Fatal("this test unpacks Debian's package wordpress: run it where apt-get is")
	}
	dir := t.TempDir()
	run(t, dir, "apt-get", "download", "wordpress", "wordpress-theme-twentytwentythree", "php-getid3")
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	check(t, err)
	for _, p := range packages {
		run(t, dir, "dpkg-deb", "-x", p, "root")
	}
	return filepath.Join(dir, "root", "usr", "share", "wordpress")
}

// publish publishes a post and looks at the front page for it.
func publish(t *testing.T, site, title string) {
	t.Helper()
	var escaped strings.Builder
	check(t, xml.EscapeText(&escaped, []byte(title)))
	value := func(kind, text string) string {
		return "<param><value><" + kind + ">" + text + "</" + kind + "></value></param>"
	}
	call := `<?xml version="1.0"?><methodCall><methodName>metaWeblog.newPost</methodName><params>` + value("int", "1") + value("string", "editor") +
		value("string", "Secret.12345") + "<param><value><struct><member><name>title</name><value><string>" + escaped.String() + "</string></value></member>" +
		"<member><name>description</name><value><string>It says so.</string></value></member></struct></value></param>" + value("boolean", "1") + "</params></methodCall>"
	answer, err := client.Post(site+"/xmlrpc.php", "text/xml", strings.NewReader(call))
	if page, err := body(answer, err); err != nil || !strings.Contains(page, "<string>") || strings.Contains(page, "<fault>") {
		t.Fatalf("to publish a post: %v\n%s", err, page)
	}
	if page := get(t, site+"/"); !strings.Contains(page, title) {
		t.Errorf("%q is not on the front page\n%s", title, page)
	}
}

var client = &http.Client{Timeout: time.Minute}

func fetch(address string) (string, error) { return body(client.Get(address)) }

func get(t *testing.T, address string) string {
	t.Helper()
	page, err := fetch(address)
	check(t, err)
	return page
}

func post(t *testing.T, address string, form url.Values) string {
	t.Helper()
	page, err := body(client.PostForm(address, form))
	check(t, err)
	return page
}

func body(r *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, page)
	}
	return string(page), err
}

func eventually(t *testing.T, condition func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
