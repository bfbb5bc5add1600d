package mysql

import "testing"

// A server that is at another address than 127.0.0.1 counts the clients that come to the node and leave before they log in, and
// shuts the node out when there were max_connect_errors in a row. That many never come.
func TestServerBearsClientsThatLeave(t *testing.T) {
	m := openMember(t, 1)
	if got := m.query(t, "SELECT @@GLOBAL.max_connect_errors"); got != "4294967295" {
		t.Errorf("the server shuts its node out after %s clients", got)
	}
}
