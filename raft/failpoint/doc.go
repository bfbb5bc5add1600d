// Package failpoint lets a test stop the process at a named place, to show what a crash there does.
//
// In a normal build Hit does nothing and is inlined away. Built with -tags failpoint, the environment variable
// NEXUS_FAILPOINT arms one place: "name" dies at the first hit, "name:n" at the n-th.
package failpoint
