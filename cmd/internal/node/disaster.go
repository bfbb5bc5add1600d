package node

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/nexus-replication/nexus/raft"
)

// restoreBackup makes the data directory of a new cluster from the file of -restore, if that was given.
func restoreBackup(opts *Options, d Definition, log *slog.Logger, stderr io.Writer) error {
	if opts.Restore == "" {
		return nil
	}
	cfg, err := d.Offline(log)
	if err != nil {
		return err
	}
	file, err := os.Open(opts.Restore)
	if err != nil {
		return fmt.Errorf("flag -restore: %w", err)
	}
	defer file.Close()
	if err := checkKind(file, opts); err != nil {
		return fmt.Errorf("restore %s: %w", opts.Restore, err)
	}
	size := int64(0)
	if st, err := file.Stat(); err == nil {
		size = st.Size()
	}
	tell, end := tellReading(stderr, log, opts.Restore, size)
	info, err := raft.RestoreBackup(cfg, &reading{r: file, tell: tell})
	end()
	if err != nil {
		return fmt.Errorf("restore %s: %w", opts.Restore, err)
	}
	log.Info("backup restored into a new cluster; start without -restore from now on", "file", opts.Restore, "data", opts.DataDir,
		"created", info.Created, "index", info.Index, "bytes", info.Size)
	return nil
}

// kinds are how the data in a backup begins, within kindBytes, by the program whose it is.
var kinds = []struct{ program, server, head string }{
	{"redis_repl", "redis-server", "REDIS"},
	{"redis_repl", "redis-server", "VALKEY"},
	{"mysql_repl", "MariaDB or MySQL", "nexus-mysql-"},
}

const kindBytes = 32

// checkKind refuses the backup of another kind of server, while nothing is written yet. What begins otherwise is left to
// who fills the server with it.
func checkKind(file io.ReadSeeker, opts *Options) error {
	_, head, err := raft.PeekBackup(file, kindBytes)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if bytes.Contains(head, []byte(k.head)) && k.program != opts.program.Name {
			return fmt.Errorf("it is a backup of %s, and %s is for %s: restore it with %s, or name a backup of %s. Nothing was written",
				k.server, opts.program.Name, opts.program.Server, k.program, opts.program.Server)
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// wipeRemoved empties the data directory of a member that was removed, if that was asked for.
func wipeRemoved(opts *Options, d Definition, log *slog.Logger) error {
	if !opts.WipeRemoved {
		return nil
	}
	cfg, err := d.Offline(log)
	if err != nil {
		return err
	}
	id, err := raft.WipeRemoved(cfg)
	switch {
	case err != nil:
		return fmt.Errorf("flag -nexus-wipe-removed: %w", err)
	case id == 0:
		log.Info("the data directory is not that of a member that was removed: nothing was deleted", "data", opts.DataDir)
	default:
		log.Warn("this node was removed from its cluster: its data directory is empty now, and it begins as a new one. Empty its "+opts.program.Server+" as well",
			"data", opts.DataDir, "id", fmt.Sprintf("%016x", id))
	}
	return nil
}

// forceNewCluster makes a survivor the only member, and says what that means.
func forceNewCluster(opts *Options, d Definition, log *slog.Logger) error {
	cfg, err := d.Offline(log)
	if err != nil {
		return err
	}
	forced, err := raft.ForceSingleMember(cfg)
	if err != nil {
		return fmt.Errorf("force a new cluster: %w", err)
	}
	log.Warn("this node is the only member of its cluster now", "id", fmt.Sprintf("%016x", forced.ID), "index", forced.Index,
		"committed", forced.Committed)
	if forced.Index > forced.Committed {
		log.Warn("the last entries were not known to be committed; they count as committed now, though nobody may have been told so",
			"entries", forced.Index-forced.Committed)
	}
	for _, m := range forced.Removed {
		log.Warn("NEVER START THIS NODE AGAIN with its old data: it was removed. Empty its data directory and its "+opts.program.Server+", start it, and add it with repl addNode",
			"id", fmt.Sprintf("%016x", m.ID), "url", m.URL)
	}
	log.Warn("writes that were acknowledged by the lost nodes, but had not reached this one, are lost. Start this node without -nexus-force-new-cluster")
	return nil
}
