package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nexus-replication/nexus/raft"
)

// schemaVersion is of the tables below.
const schemaVersion = 1

// bookkeeping creates what Nexus keeps on a backend. The schema may hold tables of clients beside these.
var bookkeeping = []string{
	"CREATE DATABASE IF NOT EXISTS nexus",
	"CREATE TABLE IF NOT EXISTS nexus.position (id TINYINT UNSIGNED PRIMARY KEY, version INT UNSIGNED NOT NULL," +
		" cluster BIGINT UNSIGNED NOT NULL, node BIGINT UNSIGNED NOT NULL, term BIGINT UNSIGNED NOT NULL, idx BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
	"CREATE TABLE IF NOT EXISTS nexus.applied (epoch BIGINT UNSIGNED NOT NULL, sequence BIGINT UNSIGNED NOT NULL," +
		" PRIMARY KEY (epoch, sequence)) ENGINE=InnoDB",
	"CREATE TABLE IF NOT EXISTS nexus.schema_change (idx BIGINT UNSIGNED NOT NULL, ordinal INT UNSIGNED NOT NULL," +
		" file VARCHAR(255) NOT NULL, pos BIGINT UNSIGNED NOT NULL, reply LONGBLOB, PRIMARY KEY (idx, ordinal)) ENGINE=InnoDB",
	"CREATE TABLE IF NOT EXISTS nexus.address (node BIGINT UNSIGNED PRIMARY KEY, address VARCHAR(255) NOT NULL) ENGINE=InnoDB",
	variableTable,
	answerTable,
	rehearsalTable,
}

// rehearsalTable is what sessions lock that must not change any other one. Nobody writes it, or would have to wait for them. It may be missing on a server that
// an earlier program has claimed.
const rehearsalTable = "CREATE TABLE IF NOT EXISTS nexus.rehearsal (id TINYINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB"

// grants let every account mark its transactions, fix a snapshot by reading something, be told what its programs wait for, and
// rehearse schema changes under a lock.
var grants = []string{
	"GRANT INSERT ON nexus.applied TO PUBLIC",
	"GRANT SELECT ON nexus.address TO PUBLIC",
	"GRANT SELECT ON nexus.program_answer TO PUBLIC",
	"GRANT SELECT ON nexus.rehearsal TO PUBLIC",
	"GRANT LOCK TABLES ON nexus.* TO PUBLIC",
}

// IsOwnGrant reports whether a row of SHOW GRANTS is one of grants, and no other privilege beside it.
func IsOwnGrant(row string) bool {
	return slices.Contains(grants, strings.NewReplacer("`", "", `"`, "").Replace(row))
}

// Bookkeeping names the tables of schema nexus that are Nexus's own, as a regular expression has them.
const Bookkeeping = "position|applied|schema_change|address|global_variable|program_answer|rehearsal"

var ownTables = strings.Split(Bookkeeping, "|")

// IsBookkeeping reports whether a table is one of Nexus's own.
func IsBookkeeping(database, table string) bool {
	return database == "nexus" && slices.Contains(ownTables, table)
}

// claim returns the position that the backend holds, after making it this node's if it was nobody's.
func (b *Backend) claim(ctx context.Context, k *conn) (raft.Position, error) {
	row, err := b.marker(ctx, k)
	if err != nil {
		return raft.Position{}, err
	}
	if row == nil {
		if err := b.refuseForeignData(ctx, k); err != nil {
			return raft.Position{}, err
		}
		if err := b.createBookkeeping(ctx, k, raft.Position{}); err != nil {
			return raft.Position{}, err
		}
		if row, err = b.marker(ctx, k); err != nil {
			return raft.Position{}, err
		}
	}
	return b.checkMarker(row)
}

func (b *Backend) createBookkeeping(ctx context.Context, k *conn, at raft.Position) error {
	if err := k.run(ctx, bookkeeping...); err != nil {
		return err
	}
	if err := b.grant(ctx, k); err != nil {
		return err
	}
	return k.run(ctx, fmt.Sprintf("INSERT INTO nexus.position VALUES (1, %d, %d, %d, %d, %d)",
		schemaVersion, b.id.Cluster, b.id.Node, at.Term, at.Index))
}

func (b *Backend) grant(ctx context.Context, k *conn) error {
	if err := k.run(ctx, grants...); err != nil {
		return fmt.Errorf("let every account mark its transactions: %w", err)
	}
	return nil
}

// marker returns the row of nexus.position, nil if there is none.
func (b *Backend) marker(ctx context.Context, k *conn) ([]string, error) {
	row, err := k.row(ctx, "SELECT version, cluster, node, term, idx FROM nexus.position WHERE id=1")
	if code := serverCode(err); code == 1049 || code == 1146 {
		return nil, nil
	}
	return row, err
}

func (b *Backend) checkMarker(row []string) (raft.Position, error) {
	if len(row) != 5 {
		return raft.Position{}, fmt.Errorf("backend %s holds no position", b.cfg.Addr)
	}
	var v [5]uint64
	for i, text := range row {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return raft.Position{}, &raft.FatalError{Err: fmt.Errorf("nexus.position of backend %s holds %q: %w", b.cfg.Addr, text, err)}
		}
		v[i] = n
	}
	if v[0] != schemaVersion {
		return raft.Position{}, b.unsuitable("has tables of version %d in schema nexus, this program reads version %d", v[0], schemaVersion)
	}
	if v[1] != b.id.Cluster || v[2] != b.id.Node {
		return raft.Position{}, b.unsuitable("belongs to node %016x of cluster %016x, this is node %016x of cluster %016x: give each node a server of its own",
			v[2], v[1], b.id.Node, b.id.Cluster)
	}
	return raft.Position{Term: v[3], Index: v[4]}, nil
}

// refuseForeignData keeps data that no log knows of from becoming a member's.
func (b *Backend) refuseForeignData(ctx context.Context, k *conn) error {
	rows, err := k.rows(ctx, "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_schema NOT IN ("+systemSchemas+")")
	if err != nil {
		return err
	}
	var names []string
	for _, row := range rows {
		names = append(names, row[0])
	}
	if len(names) > 0 {
		return b.unsuitable("is new to the cluster but holds tables, in %s: a node begins with an empty server. Dump them, drop them, and load them through a node",
			strings.Join(names, ", "))
	}
	return nil
}

const systemSchemas = "'mysql','information_schema','performance_schema','sys'"
