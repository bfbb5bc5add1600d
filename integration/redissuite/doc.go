// Package redissuite runs the test suite of Redis through a cluster, one unit after the other on the same cluster, as
// "./runtest --host HOST --port PORT --single UNIT" does. Each unit runs on a plain redis-server first: what passes there
// has to pass through a node, or stands in testdata/leader.golden or testdata/follower.golden with the reason. At the end
// the three replicas have to be equal.
//
// A few units are part of "make test", where ".ci/deps redissuite" has fetched the suite; "make test-redissuite" runs all.
package redissuite
