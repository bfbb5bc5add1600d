package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/cmd/internal/security"
)

// errNoAnswer is wrapped by errors of calls to which no node has answered.
var errNoAnswer = errors.New("no answer from the node")

// listens finds out what a port is on which nobody answers as a node: "" if it cannot be told. Nothing that was sent
// there can have been understood.
func listens(addr string) string {
	if greeting := ask(addr, ""); len(greeting) > 4 && greeting[3] == 0 && (greeting[4] == 10 || greeting[4] == 0xff) {
		return "a port for MySQL clients"
	}
	switch answer := ask(addr, "PING\r\n\r\n"); {
	case strings.HasPrefix(answer, "HTTP/"):
		return whichHTTP(addr)
	case strings.HasPrefix(answer, "+PONG"), strings.HasPrefix(answer, "-"):
		return "a port for Redis clients"
	case strings.HasPrefix(answer, "\x15\x03"):
		return tlsPort
	}
	if speaksTLS(addr) {
		return tlsPort
	}
	return ""
}

const tlsPort = "a port that wants TLS, see -tls-ca"

// speaksTLS finds out whether somebody answers a greeting of TLS; who that is does not matter, as nothing is told them.
func speaksTLS(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() //nolint:gosec // see above
	var plain tls.RecordHeaderError
	var network net.Error
	return err == nil || !errors.As(err, &plain) && !errors.As(err, &network) && !errors.Is(err, io.EOF)
}

// whichHTTP tells the port for metrics from that for the other nodes.
func whichHTTP(addr string) string {
	answer := ask(addr, "GET /livez HTTP/1.0\r\n\r\n")
	status, _, _ := strings.Cut(answer, "\r\n")
	if strings.Contains(status, " 200 ") {
		return "the port for metrics (-metricsPort)"
	}
	return "a port for HTTP, such as that of the node URL"
}

// ask sends something and returns the beginning of what comes.
func ask(addr, request string) string {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	patience := time.Second
	if request == "" {
		patience = 200 * time.Millisecond // who speaks first does so at once
	}
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return ""
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return ""
	}
	answer := make([]byte, 64)
	n, _ := conn.Read(answer) // nothing is an answer too
	return string(answer[:n])
}

// explain says what is wrong with the address, if that is why there was no answer.
func (c *command) explain(err error) error {
	if !errors.Is(err, errNoAnswer) {
		return err
	}
	what := listens(c.addr)
	withTLS := c.access.files != (security.Files{}) || os.Getenv("NEXUS_TLS_CA") != ""
	switch {
	case what == "" && withTLS && strings.Contains(err.Error(), "does not look like a TLS handshake"):
		return fmt.Errorf("%s speaks no TLS: leave out -tls-ca, -tls-cert and NEXUS_TLS_... there. Nothing was done", c.addr)
	case what == "", what == tlsPort && (withTLS):
		return err
	case what == tlsPort:
		return fmt.Errorf("%s is %s: the file of the authority that signed the certificate of the node. Nothing was done", c.addr, what)
	}
	return fmt.Errorf("%s is %s. repl wants the gRPC port of the node (-grpcPort, 9121 by default). Nothing was done", c.addr, what)
}
