package raft

import (
	"context"
	"fmt"
	"log/slog"

	etcdraft "go.etcd.io/etcd/raft/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// raftLogger gives etcd/raft's log to slog, one level down: what an operator needs is logged by this package.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)                 { l.print(slog.LevelDebug-4, v) }
func (l raftLogger) Debugf(format string, v ...any) { l.printf(slog.LevelDebug-4, format, v) }
func (l raftLogger) Info(v ...any)                  { l.print(slog.LevelDebug, v) }
func (l raftLogger) Infof(format string, v ...any)  { l.printf(slog.LevelDebug, format, v) }
func (l raftLogger) Warning(v ...any)               { l.print(slog.LevelDebug, v) }
func (l raftLogger) Warningf(format string, v ...any) {
	l.printf(slog.LevelDebug, format, v)
}
func (l raftLogger) Error(v ...any)                 { l.print(slog.LevelWarn, v) }
func (l raftLogger) Errorf(format string, v ...any) { l.printf(slog.LevelWarn, format, v) }

// Fatal and Panic are raft's broken invariants: the loop must not go on.
func (l raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

func (l raftLogger) print(level slog.Level, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprint(v...), "from", "raft")
	}
}

func (l raftLogger) printf(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, v...), "from", "raft")
	}
}

// zapCore gives the log of etcd's wal and rafthttp to slog, as debug messages, but for what only they can tell.
type zapCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// levelOf what rafthttp says: why a snapshot did not arrive is known to it alone.
func levelOf(message string) slog.Level {
	switch message {
	case "failed to send database snapshot", "failed to save incoming database snapshot":
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

func newZap(log *slog.Logger) *zap.Logger { return zap.New(zapCore{log: log}) }

func (c zapCore) Enabled(level zapcore.Level) bool {
	return level > zapcore.InfoLevel || level > zapcore.DebugLevel && c.log.Enabled(context.Background(), slog.LevelDebug)
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.log, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) && c.log.Enabled(context.Background(), levelOf(e.Message)) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(enc)
	}
	attrs := make([]any, 0, 2*len(enc.Fields)+2)
	for k, v := range enc.Fields {
		attrs = append(attrs, k, v)
	}
	c.log.Log(context.Background(), levelOf(e.Message), e.Message, append(attrs, "from", "etcd")...)
	return nil
}

func (c zapCore) Sync() error { return nil }

func roleName(s etcdraft.StateType) string {
	switch s {
	case etcdraft.StateLeader:
		return "leader"
	case etcdraft.StateFollower:
		return "follower"
	default:
		return "candidate"
	}
}

func formatID(id uint64) string {
	if id == 0 {
		return "none"
	}
	return fmt.Sprintf("%x", id)
}
