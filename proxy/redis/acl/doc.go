// Package acl has the users of a node and what each of them may do, with the words and the rules of Redis 7.0.
//
//   - file.go reads the file of users, in the syntax of Redis' aclfile; rule.go applies one rule; user.go and selector.go
//     are what comes out, which never changes afterwards.
//   - check.go decides about a command; keys.go finds its keys and channels, and how it uses them.
//   - describe.go says what a user may do, as ACL LIST does.
//   - rights.go says it to the scripts that a user runs: see package script.
//   - table.go is what Redis knows of each command: commands.txt, which a test compares with a server.
//
// What this package must never do: allow what it does not understand. A rule that Redis would not take is an error, and
// where the keys of a command cannot be told, every key must be allowed.
package acl
