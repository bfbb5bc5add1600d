// Package mysqltest runs MariaDB's own test suite through a cluster. Each test is recorded on a mariadbd that is configured
// as those behind the nodes are, and what it then prints through the leader is compared with that. What is expected of each
// test stands in testdata/main.golden, so that a regression shows.
//
// A few tests are part of "make test", where Debian's package mariadb-test is installed; "make test-mysqltest" runs all of
// the golden file.
package mysqltest
