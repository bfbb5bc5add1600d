package mysql

import (
	"context"
	"fmt"
	"strings"
)

// removeMarkers removes rows that nobody needs any more. A statement that finds several may look at others on its way, and
// would wait for the marker of a prepared transaction, which is committed only by the goroutine that is waiting then. So a
// server that does not look each of them up by its whole key is told not to wait, and gets a statement for each.
func (b *Backend) removeMarkers(ctx context.Context, markers []marker) error {
	for len(markers) > 0 {
		n := 1
		for n < len(markers) && markers[n].epoch == markers[0].epoch {
			n++
		}
		err := b.removeTogether(ctx, markers[:n])
		if serverCode(err) == codeLockTimeout {
			err = b.removeEach(ctx, markers[:n])
		}
		if err != nil {
			return err
		}
		markers = markers[n:]
	}
	return nil
}

// removeTogether removes markers of one epoch, in one statement, which costs the server a tenth of what one for each does.
func (b *Backend) removeTogether(ctx context.Context, markers []marker) error {
	var text strings.Builder
	text.WriteString("SET STATEMENT innodb_lock_wait_timeout=0 FOR DELETE nexus.applied FROM (WITH v(sequence) AS (VALUES ")
	for i := range markers {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "(%d)", markers[i].sequence)
	}
	fmt.Fprintf(&text, ") SELECT sequence FROM v) AS w STRAIGHT_JOIN nexus.applied FORCE INDEX (PRIMARY) ON applied.epoch=%d AND applied.sequence=w.sequence", markers[0].epoch)
	_, err := b.conn.exec(ctx, text.String())
	return err
}

func (b *Backend) removeEach(ctx context.Context, markers []marker) error {
	statements := make([]string, len(markers))
	for i, m := range markers {
		statements[i] = fmt.Sprintf("DELETE FROM nexus.applied WHERE epoch=%d AND sequence=%d", m.epoch, m.sequence)
	}
	return b.conn.transact(ctx, statements)
}
