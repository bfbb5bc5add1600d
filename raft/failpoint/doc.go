// Package failpoint lets a test stop the process at a named place, to show what a crash there does, and put its wall
// clock wrong.
//
// In a normal build Hit does nothing and Now is time.Now, both inlined away. Built with -tags failpoint, the environment
// variable NEXUS_FAILPOINT arms one place: "name" dies at the first hit, "name:n" at the n-th. NEXUS_CLOCK names a file.
package failpoint
