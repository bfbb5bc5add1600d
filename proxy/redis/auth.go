package redis

import (
	backend "github.com/nexus-replication/nexus/appliers/redis"
	"github.com/nexus-replication/nexus/proxy/redis/acl"
	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

const (
	errTextNoPassword = "ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?"
	errTextWrongPass = "WRONGPASS invalid username-password pair or user is disabled."
	errTextHelloAuth = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> " +
		"AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errTextProto = "NOPROTO unsupported protocol version"
	errTextName  = "ERR Client names cannot contain spaces, newlines or special characters."
)

// withoutAuth reports whether a client may use the command before it has authenticated.
func withoutAuth(spec *policy.Spec) bool {
	if spec == nil {
		return false
	}
	switch spec.Name {
	case "auth", "hello", "quit", "reset":
		return true
	}
	return false
}

// authenticate makes the client the user, who is known, or returns why it is not. command is what it has sent.
func (s *session) authenticate(command, user, password []byte) (errText string) {
	u := s.srv.users.Load().Authenticate(user, password)
	if u == nil {
		s.noteACL(aclEvent{reason: "auth", context: "toplevel", object: string(command), user: string(user)})
		return errTextWrongPass
	}
	s.setUser(u)
	s.setAuthenticated(true)
	return ""
}

// knowUser makes sure that what the log says of a user is known, up to now: a password that was taken away is taken by no
// node.
func (s *session) knowUser(name []byte) (errText string) {
	if s.srv.givenDefault() && string(name) == acl.Default {
		return ""
	}
	return s.catchUpUsers()
}

func (s *session) setAuthenticated(yes bool) {
	s.authenticated = yes
	s.shown.Lock()
	s.shown.authenticated = yes
	limited := !yes && s.srv.usersSure.Load()
	if !limited {
		s.conn.SetAuthenticated(true)
		s.strangerSince.Store(0)
	}
	s.shown.Unlock()
	if limited {
		s.limitStranger()
	}
}

func (s *session) cmdAuth(dst []byte, args [][]byte) []byte {
	user, password := []byte(acl.Default), args[len(args)-1]
	if len(args) > 3 {
		return appendError(dst, errTextSyntax)
	}
	if len(args) == 3 {
		user = args[1]
	}
	if errText := s.knowUser(user); errText != "" {
		return appendError(dst, errText)
	}
	if len(args) == 2 && s.srv.users.Load().User(acl.Default).NoPassword() {
		return appendError(dst, errTextNoPassword)
	}
	if errText := s.authenticate(args[0], user, password); errText != "" {
		return appendError(dst, errText)
	}
	return append(dst, replyOK...)
}

func (s *session) cmdHello(dst []byte, args [][]byte) []byte {
	protocol := s.protocol
	if len(args) > 1 {
		version, ok := parseInt(args[1])
		if !ok {
			return appendError(dst, "ERR Protocol version is not an integer or out of range")
		}
		if version != int64(backend.RESP2) && version != int64(backend.RESP3) {
			return appendError(dst, errTextProto)
		}
		protocol = backend.Protocol(version)
	}
	if protocol != s.protocol && s.sub != nil && (s.planning || s.subscribed()) {
		// The backend changes that of the subscription at once, which a transaction that is not executed must not have done,
		// and not from RESP2.
		return appendError(dst, "ERR nexus: the protocol cannot be changed in a transaction while the client is subscribed")
	}
	var name []byte
	for i := 2; i < len(args); {
		left := len(args) - i - 1
		switch {
		case isWord(args[i], "auth") && left >= 2:
			errText := s.knowUser(args[i+1])
			if errText == "" {
				errText = s.authenticate(args[0], args[i+1], args[i+2])
			}
			if errText != "" {
				return appendError(dst, errText)
			}
			i += 3
		case isWord(args[i], "setname") && left >= 1:
			name = args[i+1]
			if !validName(name) {
				return appendError(dst, errTextName)
			}
			i += 2
		default:
			return appendError(dst, "ERR Syntax error in HELLO option '"+printable(args[i])+"'")
		}
	}
	if !s.authenticated && s.mustLogIn {
		return appendError(dst, errTextHelloAuth)
	}
	version, err := s.srv.backendVersion()
	if err != nil {
		return appendError(dst, readErrorText(err))
	}
	if name != nil {
		s.setName(string(name))
	}
	if protocol != s.protocol && s.sub != nil {
		return s.greetSubscribed(dst, protocol, version)
	}
	s.setProtocol(protocol)
	return s.appendHello(dst, version)
}

func (s *session) appendHello(dst []byte, version string) []byte {
	dst = s.appendMap(dst, 7)
	dst = appendBulk(appendBulk(dst, "server"), "redis")
	dst = appendBulk(appendBulk(dst, "version"), version)
	dst = appendInt(appendBulk(dst, "proto"), int64(s.protocol))
	dst = appendInt(appendBulk(dst, "id"), int64(s.conn.ID()))
	dst = appendBulk(appendBulk(dst, "mode"), "standalone")
	dst = appendBulk(appendBulk(dst, "role"), "master")
	return appendArray(appendBulk(dst, "modules"), 0)
}

// reset puts the session back to where a new connection starts.
func (s *session) reset() {
	s.flush()
	s.endSubscription()
	s.endMonitor()
	s.endTracking()
	s.skipNext, s.repliesOff = false, false
	s.setMuted(false)
	s.endMulti()
	s.setDB(0)
	s.setProtocol(backend.RESP2)
	s.setName("")
	s.setNoEvict(false)
	s.beDefault()
}

// validName reports whether CLIENT LIST can show the name.
func validName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// printable is b as a part of an error, which is one line.
func printable(b []byte) string {
	const limit = 128
	b = b[:min(len(b), limit)]
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c == 0 {
			break
		}
		if c == '\r' || c == '\n' {
			c = ' '
		}
		out = append(out, c)
	}
	return string(out)
}
