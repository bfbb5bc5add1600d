// Package mysql tests clusters of real mysql_repl processes in front of real mariadbds.
package mysql
