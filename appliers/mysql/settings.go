package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// leastVersion of MariaDB. Privileges can be granted to PUBLIC since 10.11; DDL is atomic, and stands in the binary log if
// and only if it happened, since 10.6; a prepared transaction survives its connection since 10.5.
const leastVersion = 10_11

var versionPattern = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+).*MariaDB`)

// checkServer refuses a server that cannot be replicated rightly, and says what to change. What can be set from here, for
// this and every later start, is set instead.
func (b *Backend) checkServer(ctx context.Context, k *conn) error {
	row, err := k.row(ctx, "SELECT VERSION(), @@log_bin, @@binlog_format, @@binlog_row_image")
	if serverCode(err) == 1193 || (err == nil && versionPattern.FindString(row[0]) == "") {
		return &raft.FatalError{Err: fmt.Errorf("backend %s is not MariaDB; MySQL is not supported yet", b.cfg.Addr)}
	}
	if err != nil {
		return err
	}
	found := versionPattern.FindStringSubmatch(row[0])
	major, _ := strconv.Atoi(found[1]) // digits only
	minor, _ := strconv.Atoi(found[2])
	if major*100+minor < leastVersion {
		return b.unsuitable("is MariaDB %s, want 10.11 or later", row[0])
	}
	b.version.Store(&row[0])
	switch {
	case row[1] != "1":
		return b.unsuitable("has no binary log: start it with --log-bin")
	case row[2] != "ROW":
		return b.unsuitable("has binlog_format %s: start it with --binlog-format=ROW", row[2])
	case row[3] != "FULL":
		return b.unsuitable("has binlog_row_image %s: start it with --binlog-row-image=FULL", row[3])
	}
	if slaves, err := k.rows(ctx, "SHOW ALL SLAVES STATUS"); err != nil {
		return err
	} else if len(slaves) > 0 {
		return b.unsuitable("replicates from another server: STOP ALL SLAVES and RESET SLAVE ALL there")
	}
	if err := b.checkFilters(ctx, k); err != nil {
		return err
	}
	return k.run(ctx,
		"SET GLOBAL binlog_checksum=NONE",
		// A transaction of the size that a node proposes at most, as text, and no value that the binary log cannot be read with.
		"SET GLOBAL max_allowed_packet=402653184",
		"SET GLOBAL max_binlog_size=67108864",
		"SET GLOBAL log_bin_compress=0",
		// The text of each statement beside its rows, which nobody reads.
		"SET GLOBAL binlog_annotate_row_events=0",
		"SET GLOBAL slave_run_triggers_for_rbr=NO",
		// Temporary tables may be of any engine; for others see trySchema.
		"SET GLOBAL enforce_storage_engine=NULL",
		// What functions do reaches the log as rows, whatever they declare.
		"SET GLOBAL log_bin_trust_function_creators=1",
		"SET GLOBAL read_only=0",
		// Who connects to a node and leaves, as a check of its port does, looks to the server like an error of the node's machine, from
		// which it would take nobody any more after 100 in a row.
		"SET GLOBAL max_connect_errors=4294967295",
		"SET GLOBAL event_scheduler=OFF")
}

// checkFilters refuses options that keep rows out of the binary log.
func (b *Backend) checkFilters(ctx context.Context, k *conn) error {
	row, err := k.row(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return err
	}
	if len(row) < 4 {
		return b.unsuitable("has no binary log: start it with --log-bin")
	}
	if filters := strings.TrimSpace(row[2] + row[3]); filters != "" {
		return b.unsuitable("filters its binary log (%s): start it without --binlog-do-db and --binlog-ignore-db", filters)
	}
	return nil
}

func (b *Backend) unsuitable(format string, args ...any) error {
	return &raft.FatalError{Err: fmt.Errorf("backend %s %s", b.cfg.Addr, fmt.Sprintf(format, args...))}
}
