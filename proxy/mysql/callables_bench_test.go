package mysql

import (
	"fmt"
	"testing"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
)

// Of 5,000 procedures: all are looked through; one is, after a schema change; and what a CALL leads to.
func BenchmarkCallables(b *testing.B) {
	d := statement.Dialect{MariaDB: true, Version: 101119}
	programs := make([]appliers.StoredProgram, 5000)
	for i := range programs {
		programs[i] = appliers.StoredProgram{Database: "app", Name: fmt.Sprint("p", i), Body: "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; START TRANSACTION; INSERT INTO t VALUES (a, 'x');" +
			" UPDATE t SET v=CONCAT(v, 'y') WHERE id=a; CALL warns(); SELECT COUNT(*) FROM t WHERE id>a AND v LIKE '%x%'; DELETE FROM t WHERE id=a+1; INSERT INTO t SELECT id+1, v FROM t WHERE id IN (1, 2, 3); COMMIT; END"}
	}
	set := (*callableSet)(nil).renewed(programs, d)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			(*callableSet)(nil).renewed(programs, d)
		}
	})
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			programs[17].Body += " "
			set = set.renewed(programs, d)
		}
	})
	b.Run("call", func(b *testing.B) {
		says := mentionOf("CALL p17(1, 2)", d)
		for b.Loop() {
			set.unseen(says, "app")
		}
	})
}
