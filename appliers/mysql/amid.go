package mysql

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/nexus-replication/nexus/raft"
)

// Rows of a snapshot are read while entries go on being applied. A consistent read shows them as they were, but does not care what a table is called: behind
// RENAME TABLE it shows, under a name, the rows of what has that name now. So a table is not read any more that a schema change has named since. Where none
// has, the reading keeps it from being changed until it is over.

// amid notes what schema changes name that are begun while a snapshot is being read.
type amid struct {
	mu    sync.Mutex
	words map[string]bool // in small letters; nil where nobody wants to know
}

// plainWords finds what may be the name of a table, or a part of it.
var plainWords = regexp.MustCompile(`[0-9A-Za-z_$]+`)

// begin forgets what was noted, and notes what comes.
func (a *amid) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.words = make(map[string]bool)
}

func (a *amid) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.words = nil
}

// note takes down a schema change that is about to be executed.
func (a *amid) note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.words == nil {
		return
	}
	for _, word := range plainWords.FindAllString(strings.ToLower(text), -1) {
		a.words[word] = true
		// The version of a comment that is executed may stand right before a name.
		for len(word) > 1 && '0' <= word[0] && word[0] <= '9' {
			word = word[1:]
			a.words[word] = true
		}
	}
}

// byOtherSchema reports whether an error in the middle of a snapshot may come of a schema change, which has made it wait, taken away what it was about to read, or
// ended its connection. What else the server says would be there the next time too.
func byOtherSchema(err error) bool {
	if err == nil || errors.Is(err, raft.ErrBusy) {
		return false
	}
	switch serverCode(err) {
	case 0, // the connection
		1049, 1051, 1054, 1109, 1146, // no such database, table or column
		1205, 1213, 1305, 1317, 1412, 1615, 1684, 1927: // waited for, rolled back, interrupted, changed
		return true
	}
	return false
}

// any reports whether there were schema changes.
func (a *amid) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.words) > 0
}

// names reports whether one may have named what is called so. A name of other letters may be written in another way.
func (a *amid) names(table string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.words) > 0 && (plainWords.FindString(table) != table || a.words[strings.ToLower(table)])
}
