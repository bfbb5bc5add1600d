// Package clients has the tests in which unmodified client libraries and whole applications work through a cluster, one
// package for each protocol below it. They need what Debian and npm bring, so they are built with the tag clients alone:
// see make test-clients.
package clients
