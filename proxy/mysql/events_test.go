package mysql

import (
	"errors"
	"fmt"
	"io"
	"testing"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
)

// Only what the server says about the event itself makes it fail.
func TestWhoseErrorOfAnEvent(t *testing.T) {
	for _, tc := range []struct {
		err    error
		failed bool
	}{
		{fmt.Errorf("make it: %w", &appliers.ServerError{Code: 1064}), true},
		{&appliers.ServerError{Code: 1133}, true},
		{fmt.Errorf("make it: %w", &appliers.ServerError{Code: 1205}), false},
		{io.EOF, false},
	} {
		failed, machine := whose(tc.err)
		if errors.Is(failed, tc.err) != tc.failed || errors.Is(machine, tc.err) == tc.failed {
			t.Errorf("%v: %v, %v", tc.err, failed, machine)
		}
	}
	if failed, machine := whose(nil); failed != nil || machine != nil {
		t.Errorf("none: %v, %v", failed, machine)
	}
}
