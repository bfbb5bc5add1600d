package statement

import "strings"

// GlobalRefusal says why a global variable must not be set, or "". Replicated to all servers is what sets the defaults, the
// limits and the logging of sessions, and what the engine does about speed. Refused is what the node has set itself, what
// would keep it from its server, and what is of one machine: files, addresses, and the memory of the whole server.
func GlobalRefusal(name string) string {
	switch name {
	case "read_only", "super_read_only", "enforce_storage_engine", "max_allowed_packet", "log_bin_trust_function_creators", "event_scheduler":
		return "Nexus sets it itself on all servers"
	case "init_connect", "require_secure_transport", "proxy_protocol_networks", "tx_read_only", "transaction_read_only", "autocommit", "completion_type":
		return "it would change the sessions of the nodes themselves"
	}
	for _, prefix := range []string{"binlog_", "gtid_", "relay_", "replicate_", "rpl_", "slave_", "sql_slave_", "sync_binlog", "sync_relay", "sync_master", "log_bin",
		"max_binlog", "expire_logs", "server_id", "wsrep_", "master_", "init_slave", "read_binlog", "sql_log_bin", "max_relay"} {
		if strings.HasPrefix(name, prefix) {
			return "it is about replication, which Nexus does"
		}
	}
	if globals[name] {
		return ""
	}
	for _, prefix := range []string{"optimizer_", "log_slow_", "query_cache_", "key_cache_", "myisam_", "innodb_stats_", "innodb_ft_", "innodb_compression_", "innodb_monitor_",
		"innodb_adaptive_", "innodb_change_buffer", "innodb_old_blocks_", "innodb_purge_", "innodb_defragment", "innodb_status_output", "innodb_io_capacity", "innodb_max_dirty_",
		"innodb_flush", "innodb_cmp_", "system_versioning_", "session_track_", "column_compression_", "deadlock_", "tcp_keepalive_", "aria_sort_", "aria_page"} {
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, "_file") {
			return ""
		}
	}
	return "it is of a single server; set it in the configuration of all of them"
}

var globals = set(
	"alter_algorithm analyze_max_length analyze_sample_percentage auto_increment_increment auto_increment_offset automatic_sp_privileges big_tables bulk_insert_buffer_size",
	"character_set_connection character_set_database character_set_filesystem character_set_results character_set_server check_constraint_checks",
	"collation_connection collation_database collation_server concurrent_insert connect_timeout default_password_lifetime default_regex_flags default_storage_engine",
	"default_tmp_storage_engine storage_engine default_week_format delay_key_write delayed_insert_limit delayed_insert_timeout delayed_queue_size disconnect_on_expired_password",
	"div_precision_increment eq_range_index_dive_limit expensive_subquery_limit explicit_defaults_for_timestamp flush flush_time foreign_key_checks ft_boolean_syntax",
	"general_log group_concat_max_len histogram_size histogram_type host_cache_size in_predicate_conversion_threshold interactive_timeout join_buffer_size",
	"join_buffer_space_limit join_cache_level keep_files_on_create innodb_max_purge_lag innodb_max_purge_lag_delay lc_messages lc_time_names local_infile lock_wait_timeout log_output",
	"log_queries_not_using_indexes log_warnings long_query_time low_priority_updates max_connect_errors max_connections max_delayed_threads max_error_count",
	"max_heap_table_size max_insert_delayed_threads max_join_size max_length_for_sort_data max_password_errors max_prepared_stmt_count max_recursive_iterations",
	"max_rowid_filter_size max_seeks_for_key max_sort_length max_sp_recursion_depth max_statement_time max_tmp_tables max_user_connections max_write_lock_count",
	"min_examined_row_limit mrr_buffer_size net_buffer_length net_read_timeout net_retry_count net_write_timeout note_verbosity old old_alter_table old_passwords",
	"preload_buffer_size profiling profiling_history_size progress_report_time query_alloc_block_size query_prealloc_size range_alloc_block_size read_buffer_size",
	"read_rnd_buffer_size rowid_merge_buff_size secure_auth slow_launch_time slow_query_log sort_buffer_size sql_auto_is_null sql_big_selects sql_buffer_result",
	"sql_if_exists sql_mode sql_notes sql_quote_show_create sql_safe_updates sql_select_limit sql_warnings standard_compliant_cte stored_program_cache",
	"strict_password_validation sync_frm table_definition_cache table_open_cache thread_cache_size time_zone tmp_disk_table_size tmp_memory_table_size tmp_table_size",
	"transaction_alloc_block_size transaction_prealloc_size tx_isolation transaction_isolation unique_checks updatable_views_with_limit use_stat_tables userstat wait_timeout",
	"innodb_autoextend_increment innodb_deadlock_detect innodb_deadlock_report innodb_default_row_format innodb_disable_sort_file_cache innodb_file_per_table innodb_fill_factor",
	"innodb_instant_alter_column_allowed innodb_lock_wait_timeout innodb_lru_scan_depth innodb_online_alter_log_max_size innodb_optimize_fulltext_only",
	"innodb_prefix_index_cluster_optimization innodb_print_all_deadlocks innodb_random_read_ahead innodb_read_ahead_threshold innodb_spin_wait_delay innodb_strict_mode",
	"innodb_sync_spin_loops innodb_table_locks tcp_nodelay",
)

func set(lists ...string) map[string]bool {
	m := make(map[string]bool)
	for _, list := range lists {
		for _, word := range strings.Fields(list) {
			m[word] = true
		}
	}
	return m
}
