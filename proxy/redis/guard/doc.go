// Package guard stands between the network and redcon and hands redcon only
// complete, valid, size-limited RESP frames.
//
// # Why
//
// redcon's reader trusts its client. One unauthenticated packet can end the
// process ("*1\r\n$9223372036854775807\r\nx" indexes out of range, a large
// value sent byte by byte overflows the goroutine stack), keep a core busy for
// ever ("*9223372036854775807\r\n"), or make it buffer without limit. A client
// that does not read its replies holds their memory for good, and nobody
// notices a client that leaves while its command is being run. The guard
// removes all of these before redcon sees a byte, so that redcon can stay
// unpatched:
//
//	ln := guard.NewListener(inner, guard.DefaultLimits())
//	err := redcon.NewServer(addr, handler, accept, closed).Serve(ln)
//
// # What it must never do
//
//   - Hand on a byte of a request that is not complete and valid.
//   - Trust an announced length: memory grows with what arrived, never with
//     what was promised, and shrinks when the request is gone.
//   - Do work that is not linear in the bytes received, however they are cut.
//   - Answer a broken request before the good ones in front of it.
//   - Accept what redis-server refuses, or word a refusal differently. The
//     known exceptions are stricter: MaxArgs and MaxFrame (Redis 7.0 allows
//     2^31-1 arguments, and closes without a word at its query buffer limit).
//
// # How the pieces meet
//
// Listener accepts, counts and limits connections. Conn.Read takes bytes from
// the socket into a buffer; parser finds where requests end in it, keeping its
// state between calls; an inline command is split by splitArgs and encoded as
// a multibulk frame; complete frames are copied out. A frame is cut only if it
// alone is larger than the caller's buffer: redcon never moves what it holds
// to the front of its buffer, so a steady stream of cut frames would make that
// buffer grow for ever. Conn.Write bounds how long a client may refuse to
// read. WatchDisconnect reads on while a handler runs, to see the client leave.
// Arrived tells when the kernel had what was read, which is not always the order
// in which the goroutines of several connections get to run.
//
// # Concurrency
//
// Read, and everything it owns (buffer, parser), belongs to one goroutine at a
// time: redcon's. WatchDisconnect lends it to a watcher until stop. Write,
// Close, the deadlines, SetAuthenticated and the accessors may be called from
// any goroutine.
package guard
