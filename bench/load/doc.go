// Package load drives a server with GETs and SETs over many connections for a given time, and counts how long each took:
// in the Redis protocol, as redis-benchmark does it, from one thread.
package load
