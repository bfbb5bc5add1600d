// Makecerts writes certificates for trying out TLS: an authority, and signed by it one for nodes and one for clients.
package main

import (
	"flag"
	"fmt"
	"os"

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
	if err := cluster.WriteCertificates(*dir, hosts...); err != nil {
		fmt.Fprintln(os.Stderr, "makecerts:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: ca.pem; node.pem, node-key.pem for %v; client.pem, client-key.pem\n", *dir, hosts)
}
