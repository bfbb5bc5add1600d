package statement

import (
	"slices"
	"strings"
)

// variableRefusal says why a session must not set a variable. Most may be set: each client has a session of its own on
// the leader's backend, and what the log carries are rows, which no setting can change any more. Refused is what changes
// whether, or in which form, those rows reach the binary log they are taken from, and what reaches past the session.
func variableRefusal(a Assignment) string {
	switch a.Name {
	case "sql_log_bin", "binlog_format", "binlog_row_image", "binlog_annotate_row_events", "binlog_direct_non_transactional_updates",
		"binlog_row_value_options", "binlog_rows_query_log_events", "binlog_row_metadata", "server_id", "skip_replication",
		"skip_parallel_replication", "binlog_alter_two_phase", "log_bin_compress", "sql_log_off":
		return "Nexus takes the rows from the binary log: " + a.Name + " cannot be changed"
	case "password": // which the server takes behind another assignment
		return "SET PASSWORD must stand alone"
	case "enforce_storage_engine":
		if v := upper(unquote(a.Value)); v != "INNODB" && v != "DEFAULT" && v != "NULL" {
			return "only InnoDB is replicated, and tables of other engines become its own"
		}
	case "character_set_client":
		return charsetRefusal(a.Value)
	case "completion_type":
		if v := upper(unquote(a.Value)); v != "0" && v != "NO_CHAIN" && v != "DEFAULT" {
			return "completion_type must be NO_CHAIN: write COMMIT AND CHAIN or RELEASE where it is wanted"
		}
	}
	for _, prefix := range []string{"gtid_", "pseudo_", "wsrep_", "debug", "rpl_", "slave_", "replica_", "rand_seed_internal"} {
		if strings.HasPrefix(a.Name, prefix) {
			return "Nexus does not let a session change " + a.Name
		}
	}
	return ""
}

// UnreadableCharsets are those that no client can speak. A byte of a longer character may look like a quote or a backslash in
// them, and the lexer of this package would see other words than the server does. In swe7 a bracket is a letter.
var UnreadableCharsets = []string{"big5", "gbk", "sjis", "cp932", "gb18030", "ucs2", "utf16", "utf16le", "utf32", "swe7"}

// charsetRefusal says why a client cannot speak in a character set.
func charsetRefusal(charset string) string {
	if name := strings.ToLower(unquote(charset)); slices.Contains(UnreadableCharsets, name) {
		return "clients cannot speak " + name + " to Nexus: use utf8mb4"
	}
	return ""
}
