package redis

// cmdClientReply turns replies on and off. While they are off, nothing is sent to the client.
func (s *session) cmdClientReply(dst []byte, args [][]byte) []byte {
	switch {
	case isWord(args[2], "on"):
		s.out = dst
		s.flush()
		s.skipNext, s.repliesOff = false, false
		s.setMuted(false)
		return append(s.out, replyOK...)
	case isWord(args[2], "off"):
		s.out = dst
		s.flush()
		s.repliesOff = true
		s.setMuted(true)
		return s.out
	case isWord(args[2], "skip"):
		s.skipNext = !s.repliesOff
		return dst
	}
	return appendError(dst, errTextSyntax)
}

func (s *session) setMuted(yes bool) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.muted = yes
}

// runSkipped runs the command behind CLIENT REPLY SKIP, whose reply nobody gets.
func (s *session) runSkipped(run func()) {
	s.endPhase()
	s.flush()
	s.skipNext = false
	s.setMuted(true)
	run()
	s.endPhase()
	s.flush()
	s.setMuted(s.repliesOff)
}
