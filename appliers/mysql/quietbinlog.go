package mysql

import (
	"context"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// binlogPatience is how long nothing comes from the binary log, while transactions are open, before it is asked where it ends. To write a
// transaction of gigabytes there, while which it does not answer, is a matter of seconds.
const binlogPatience = 10 * time.Second

// quietBinlog is since when nothing came from the binary log.
type quietBinlog struct {
	at    gomysql.Position
	since time.Time
}

// lookAtBinlog gets no answer where somebody hangs in writing the binary log, as is done for as long as its disk is full. Clients whose
// transactions hang there propose nothing, so that nothing else shows it, and others could lead meanwhile.
func (b *Backend) lookAtBinlog(ctx context.Context) error {
	c := b.capture.Load()
	if c == nil {
		return nil
	}
	if at := c.position(); at != b.binlog.at || b.transactions.count() == 0 {
		b.binlog = quietBinlog{at: at, since: time.Now()}
	}
	if time.Since(b.binlog.since) < binlogPatience {
		return nil
	}
	_, err := b.conn.row(ctx, "SHOW MASTER STATUS")
	return err
}
