package raft

// scratch is memory for the commands of one entry, which most runs consist of.
type scratch struct {
	cmds   []Command
	groups []groupRef
}

// mostScratch is up to how many commands are kept room for.
const mostScratch = 16 << 10

// done lets go of what the commands refer to.
func (s *scratch) done() {
	clear(s.cmds)
	if cap(s.cmds) > mostScratch {
		*s = scratch{}
	}
}
