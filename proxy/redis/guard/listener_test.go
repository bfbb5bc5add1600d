package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimits(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Limits){
		"MaxBulk":       func(l *Limits) { l.MaxBulk = 0 },
		"MaxArgs":       func(l *Limits) { l.MaxArgs = -1 },
		"MaxArgs large": func(l *Limits) { l.MaxArgs = 1 << 31 },
		"MaxInline":     func(l *Limits) { l.MaxInline = 1 << 40 },
		"MaxFrame":      func(l *Limits) { l.MaxFrame = 1<<63 - 1 },
		"MaxFrame low":  func(l *Limits) { l.MaxFrame = l.MaxBulk - 1 },
		"WriteTimeout":  func(l *Limits) { l.WriteTimeout = 0 },
		"MaxConns":      func(l *Limits) { l.MaxConns = 0 },
		"UnauthMaxArgs": func(l *Limits) { l.UnauthMaxArgs = 0 },
		"UnauthMaxBulk": func(l *Limits) { l.UnauthMaxBulk = 0 },
	} {
		l := DefaultLimits()
		spoil(&l)
		if l.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestListenerMaxConns(t *testing.T) {
	limits := DefaultLimits()
	limits.MaxConns = 3
	v := startVictim(t, mustListen(t), limits)
	talk := func(c net.Conn) string {
		_, _ = io.WriteString(c, "PING\r\n")
		b := make([]byte, 100)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	var conns []net.Conn
	for range 3 {
		c := mustDial(t, v.addr)
		if got := talk(c); got != "+PONG\r\n" {
			t.Fatalf("got %q", got)
		}
		conns = append(conns, c)
	}
	for range 5 {
		b, err := io.ReadAll(mustDial(t, v.addr))
		if string(b) != refuseReply || err != nil {
			t.Errorf("surplus client got %q, %v", b, err)
		}
	}
	if v.ln.Conns() != 3 || v.ln.Refused() != 5 {
		t.Errorf("%d connections, %d refused", v.ln.Conns(), v.ln.Refused())
	}
	_ = conns[1].Close()
	waitFor(t, "room", func() bool { return v.ln.Conns() == 2 })
	if got := talk(mustDial(t, v.addr)); got != "+PONG\r\n" {
		t.Errorf("got %q", got)
	}
}

// failing is a listener that returns errs, and then says it is closed.
type failing struct {
	errs   []error
	calls  atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func (f *failing) Accept() (net.Conn, error) {
	n := int(f.calls.Add(1)) - 1
	if n < len(f.errs) {
		return nil, f.errs[n]
	}
	<-f.closed
	return nil, net.ErrClosed
}
func (f *failing) Close() error   { f.once.Do(func() { close(f.closed) }); return nil }
func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptDoesNotSpin(t *testing.T) { synctest.Test(t, testAcceptDoesNotSpin) }

func testAcceptDoesNotSpin(t *testing.T) {
	emfile := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	f := &failing{closed: make(chan struct{})}
	for range 1 << 20 {
		f.errs = append(f.errs, emfile)
	}
	ln := NewListener(f, DefaultLimits())
	result := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		result <- err
	}()
	time.Sleep(200 * time.Millisecond)
	_ = ln.Close()
	_ = ln.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if n := f.calls.Load(); n < 2 || n > 10 {
		t.Errorf("%d attempts in 200 ms", n)
	}
	if n := ln.AcceptErrors(); n < 2 {
		t.Errorf("%d errors counted", n)
	}
}

// redcon calls again at once after any error; Accept must slow it down.
func TestAcceptUnknownError(t *testing.T) {
	broken := errors.New("broken")
	ln := NewListener(&failing{errs: []error{broken}, closed: make(chan struct{})}, DefaultLimits())
	begin := time.Now()
	if _, err := ln.Accept(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if time.Since(begin) < lastAcceptDelay {
		t.Error("returned at once")
	}
}

func TestConnIdentity(t *testing.T) {
	begin := time.Now()
	ln := NewListener(nil, DefaultLimits())
	a, b := ln.admit(&scriptConn{}), ln.admit(&scriptConn{})
	if a.ID() == b.ID() || a.Opened().Before(begin) || b.Opened().Before(a.Opened()) {
		t.Errorf("%d %v, %d %v", a.ID(), a.Opened(), b.ID(), b.Opened())
	}
	if ln.Conns() != 2 {
		t.Errorf("%d connections", ln.Conns())
	}
	for range 3 {
		_ = a.Close()
	}
	if n := a.inner.(*scriptConn).closed; n != 1 || ln.Conns() != 1 {
		t.Errorf("closed %d times, %d connections", n, ln.Conns())
	}
}

// Over TLS a watch must not damage the stream, and errors must arrive.
func TestOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	ln := NewListener(tls.NewListener(mustListen(t), &tls.Config{Certificates: []tls.Certificate{cert}}), DefaultLimits())
	raw := mustDial(t, ln.Addr().String())
	inner, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := inner.(*Conn)
	defer c.Close()
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // its own key, made above
	go func() { _, _ = io.WriteString(client, "PING 0\r\n") }()
	if got := readString(t, c); got != encode([]string{"PING", "0"}) {
		t.Fatalf("read %q", got)
	}
	for range 20 {
		ctx, stop := c.WatchDisconnect(t.Context())
		mustWrite(t, client, "PING 1\r\n")
		stop()
		if got := readString(t, c); got != encode([]string{"PING", "1"}) {
			t.Fatalf("read %q", got)
		}
		if ctx.Err() == nil {
			t.Fatal("context outlived stop")
		}
	}
	mustWrite(t, client, "*x\r\n")
	go func() { _, _ = c.Read(make([]byte, 10)) }()
	if b, err := io.ReadAll(client); string(b) != "-ERR Protocol error: invalid multibulk length\r\n" || err != nil {
		t.Errorf("client got %q, %v", b, err)
	}
}
