// Package wire frames the MySQL protocol, and reads of its packets what a proxy has to know: where a response ends, and
// the state of the session that it tells. Everything else passes through as it came.
package wire
