// Makecerts writes certificates for trying out TLS: an authority, and signed by it one for nodes and one for clients.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nexus-replication/nexus/integration/cluster"
)

func main() {
	dir := flag.String("dir", "certs", "directory to write to")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: makecerts [-dir DIR] [HOST ...]\n\nHOST is a name or address at which nodes are reached, 127.0.0.1 and localhost by default.")
		flag.PrintDefaults()
	}
	flag.Parse()
	hosts := flag.Args()
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "localhost"}
	}
	if err := write(*dir, hosts); err != nil {
		fmt.Fprintln(os.Stderr, "makecerts:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: ca.pem; node.pem, node-key.pem for %v; client.pem, client-key.pem\n", *dir, hosts)
}

// write makes the files in a directory that has none yet: the key of an authority is not kept, so that another would take
// its place, whose certificates those who run with the old one do not know.
func write(dir string, hosts []string) error {
	ca := filepath.Join(dir, "ca.pem")
	_, err := os.Stat(ca)
	switch {
	case err == nil:
		return fmt.Errorf("%s is there already, and a cluster that runs with it would break by another authority: delete %s for a new one, or write elsewhere (go run ./integration/makecerts -dir DIR HOST ...)", ca, dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return cluster.WriteCertificates(dir, hosts...)
}
