package settings

import (
	"fmt"
	"slices"
	"strings"
)

// envPrefix begins the variables of the environment.
const envPrefix = "NEXUS_"

// Misspelled says of each variable of environ (NAME=VALUE) that is no setting's but nearly so, which it may be meant to be.
// What is like none is of somebody else: of repl, of another program, or of who runs the containers.
func (s *Set) Misspelled(environ []string) (warnings []string) {
	var known []string
	for _, e := range s.entries() {
		known = append(known, EnvName(e.Name))
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || !strings.HasPrefix(strings.ToUpper(name), envPrefix) || slices.Contains(known, name) || name == "NEXUS_CONFIG" {
			continue
		}
		if near := nearest(name, known); near != "" {
			warnings = append(warnings, fmt.Sprintf("the variable %s is not a setting and has no effect: is %s meant?", name, near))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// mostEdits is by how many letters a name may be another one's.
const mostEdits = 2

// nearest returns the one of known that name differs from least, or "" if from all by much. What differs in the underscores
// and the case alone is the same.
func nearest(name string, known []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "_", "") }
	best, least := "", mostEdits+1
	for _, k := range known {
		if n := edits(plain(name), plain(k)); n < least {
			best, least = k, n
		}
	}
	return best
}

// edits is how many letters have to be put in, left out or changed to make b of a (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
