// Package redis has programs that use client libraries of Redis as applications do, and the tests that run them: against
// a plain redis-server, against the leader of a cluster, against a follower, and while the leader is killed.
//
// A program tells what it does in lines of JSON on its standard output: {"event": ..., "name": ..., "id": ...}.
//
//	version  the library, as name
//	did      a part of the library's interface (name) was used, and did what it should
//	ack      an effect of effects.json (name) was acknowledged under id
//	unknown  an effect failed so that it may be there or not
//	took     a consumer got what an effect (name) had put there under id
//	failed   a consumer failed so that it may have lost one element
//	error    the program has found something wrong
//	done     the program has ended as it should
//
// "tour" goes through tour.json and the parts of the library, once. "work" produces the effects of effects.json and
// consumes them until its standard input ends; what must be there then is judged by the tests. An effect is repeatable if
// doing it twice is as good as once: these go through a client that sends again by itself, the others through one that
// does not.
package redis
