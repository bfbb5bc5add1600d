package node

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

func backupOf(stream string) io.ReadSeeker {
	header := []byte(`{"index":7,"size":` + "64" + `}`)
	file := binary.BigEndian.AppendUint32([]byte("nexusbk1"), uint32(len(header)))
	file = append(append(file, header...), stream...)
	return bytes.NewReader(append(file, make([]byte, 64)...))
}

// A backup of another kind of server is known before a data directory is made of it.
func TestKindOfBackup(t *testing.T) {
	const redis, mysql = "REDIS0010\xfa", "V\x0d\x00\x00\x00nexus-mysql-1S"
	for _, tc := range []struct{ program, stream, want string }{
		{"redis_repl", redis, ""},
		{"redis_repl", "VALKEY080", ""},
		{"redis_repl", "something newer", ""},
		{"mysql_repl", mysql, ""},
		{"redis_repl", mysql, "it is a backup of MariaDB or MySQL, and redis_repl is for redis-server: restore it with mysql_repl"},
		{"mysql_repl", redis, "it is a backup of redis-server, and mysql_repl is for mariadbd: restore it with redis_repl"},
	} {
		server := map[string]string{"redis_repl": "redis-server", "mysql_repl": "mariadbd"}[tc.program]
		file := backupOf(tc.stream)
		err := checkKind(file, &Options{program: Program{Name: tc.program, Server: server}})
		if tc.want == "" {
			if at, serr := file.Seek(0, io.SeekCurrent); err != nil || serr != nil || at != 0 {
				t.Errorf("%s, %q: %v, and reading goes on at %d, %v", tc.program, tc.stream, err, at, serr)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s, %q: got %v", tc.program, tc.stream, err)
		}
	}
}
