package redis

import (
	"strconv"
	"time"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
)

// localCommand answers a command without the log. It appends exactly one reply to dst.
type localCommand func(s *session, dst []byte, args [][]byte) []byte

// localCommands are the Local rows of the policy table that a transaction queues. The rest is in session.control.
func localCommands() map[string]localCommand {
	return map[string]localCommand{
		"acl|deluser":         (*session).cmdACLDelUser,
		"acl|dryrun":          (*session).cmdACLDryRun,
		"acl|load":            (*session).cmdACLLoad,
		"acl|getuser":         (*session).cmdACLGetUser,
		"acl|list":            (*session).cmdACLList,
		"acl|log":             (*session).cmdACLLog,
		"acl|save":            (*session).cmdACLSave,
		"acl|setuser":         (*session).cmdACLSetUser,
		"acl|users":           (*session).cmdACLUsers,
		"acl|whoami":          (*session).cmdACLWhoAmI,
		"auth":                (*session).cmdAuth,
		"bgsave":              (*session).cmdBGSave,
		"client|caching":      (*session).cmdClientCaching,
		"client|getname":      (*session).cmdClientGetName,
		"client|getredir":     (*session).cmdClientGetRedir,
		"client|id":           (*session).cmdClientID,
		"client|info":         (*session).cmdClientInfo,
		"client|kill":         (*session).cmdClientKill,
		"client|list":         (*session).cmdClientList,
		"client|no-evict":     (*session).cmdClientNoEvict,
		"client|no-touch":     (*session).cmdClientNoTouch,
		"client|pause":        (*session).cmdClientPause,
		"client|reply":        (*session).cmdClientReply,
		"client|setinfo":      (*session).cmdClientSetInfo,
		"client|setname":      (*session).cmdClientSetName,
		"client|tracking":     (*session).cmdClientTracking,
		"client|trackinginfo": (*session).cmdClientTrackingInfo,
		"client|unblock":      (*session).cmdClientUnblock,
		"client|unpause":      (*session).cmdClientUnpause,
		"config|get":          (*session).cmdConfigGet,
		"config|resetstat":    (*session).cmdConfigResetStat,
		"config|set":          (*session).cmdConfigSet,
		"debug":               (*session).cmdDebug,
		"echo":                (*session).cmdEcho,
		"function|kill":       (*session).cmdKill,
		"hello":               (*session).cmdHello,
		"info":                (*session).cmdInfo,
		"lastsave":            (*session).cmdLastSave,
		"latency|doctor":      (*session).cmdOfBackend,
		"latency|graph":       (*session).cmdOfBackend,
		"latency|histogram":   (*session).cmdLatencyHistogram,
		"latency|history":     (*session).cmdOfBackend,
		"latency|latest":      (*session).cmdOfBackend,
		"latency|reset":       (*session).cmdOfBackend,
		"memory|doctor":       (*session).cmdOfBackend,
		"memory|malloc-stats": (*session).cmdOfBackend,
		"memory|purge":        (*session).cmdOfBackend,
		"memory|stats":        (*session).cmdMemoryStats,
		"module|list":         (*session).cmdModuleList,
		"monitor":             (*session).cmdMonitor,
		"nexus|explain":       (*session).cmdNexusExplain,
		"nexus|help":          (*session).cmdNexusHelp,
		"nexus|members":       (*session).cmdNexusMembers,
		"nexus|status":        (*session).cmdNexusStatus,
		"nexus|verify":        (*session).cmdNexusVerify,
		"ping":                (*session).cmdPing,
		"psubscribe":          (*session).cmdSubscribe,
		"punsubscribe":        (*session).cmdUnsubscribe,
		"role":                (*session).cmdRole,
		"save":                (*session).cmdSave,
		"script|kill":         (*session).cmdKill,
		"select":              (*session).cmdSelect,
		"slowlog|get":         (*session).cmdSlowlogGet,
		"slowlog|len":         (*session).cmdSlowlogLen,
		"slowlog|reset":       (*session).cmdSlowlogReset,
		"ssubscribe":          (*session).cmdSubscribe,
		"subscribe":           (*session).cmdSubscribe,
		"sunsubscribe":        (*session).cmdUnsubscribe,
		"time":                (*session).cmdTime,
		"unsubscribe":         (*session).cmdUnsubscribe,
		"unwatch":             (*session).cmdUnwatch,
		"wait":                (*session).cmdWait,
	}
}

// runLocal appends the reply to a Local command.
func (s *session) runLocal(dst []byte, spec *policy.Spec, args [][]byte) []byte {
	cmd := s.srv.locals[spec]
	if cmd == nil {
		return appendError(dst, "ERR nexus: command '"+spec.Name+"' is not implemented")
	}
	return cmd(s, dst, args)
}

func (s *session) cmdPing(dst []byte, args [][]byte) []byte {
	if s.subscribed() && len(args) <= 2 && !s.muted {
		return s.askSubscription(dst, args, 1)
	}
	switch len(args) {
	case 1:
		return append(dst, "+PONG\r\n"...)
	case 2:
		return appendBulk(dst, args[1])
	}
	return appendError(dst, "ERR wrong number of arguments for 'ping' command")
}

func (s *session) cmdEcho(dst []byte, args [][]byte) []byte {
	return appendBulk(dst, args[1])
}

// cmdSelect answers for the reserved database what Redis answers for one that does not exist.
func (s *session) cmdSelect(dst []byte, args [][]byte) []byte {
	db, ok := parseInt(args[1])
	if !ok || db != int64(int32(db)) {
		return appendError(dst, errTextNotInt)
	}
	if !s.selectable(db) {
		return appendError(dst, errTextDB)
	}
	if int(db) != s.db {
		s.setDB(int(db))
	}
	return append(dst, replyOK...)
}

func (s *session) cmdTime(dst []byte, _ [][]byte) []byte {
	now := time.Now()
	dst = appendArray(dst, 2)
	dst = appendBulk(dst, strconv.FormatInt(now.Unix(), 10))
	return appendBulk(dst, strconv.Itoa(now.Nanosecond()/1000))
}

// cmdRole: every node of a cluster takes writes, which is what a client that asks wants to know.
func (s *session) cmdRole(dst []byte, _ [][]byte) []byte {
	dst = appendArray(dst, 3)
	dst = appendBulk(dst, "master")
	dst = appendInt(dst, int64(s.srv.rep.Status().Applied))
	return appendArray(dst, 0)
}
