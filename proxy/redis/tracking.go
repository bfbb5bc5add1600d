package redis

import (
	"context"
	"slices"

	"github.com/nexus-replication/nexus/proxy/redis/policy"
	"github.com/nexus-replication/nexus/proxy/redis/script"
	"github.com/nexus-replication/nexus/raft"
)

const (
	errTextPrefix     = "ERR PREFIX option requires BCAST mode to be enabled"
	errTextSwitch     = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	errTextBcastOpt   = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	errTextBothOpt    = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errTextSwitchOpt  = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	errTextCaching    = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errTextCachingYes = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errTextCachingNo  = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

// cmdClientTracking begins or ends that the client is told of keys that have changed: see tracker.
func (s *session) cmdClientTracking(dst []byte, args [][]byte) []byte {
	opts, errText := s.parseTracking(args[3:])
	switch {
	case errText != "":
		return appendError(dst, errText)
	case isWord(args[2], "off"):
		s.endTracking()
		return append(dst, replyOK...)
	case !isWord(args[2], "on"):
		return appendError(dst, errTextSyntax)
	}
	if errText := s.checkTracking(&opts); errText != "" {
		return appendError(dst, errText)
	}
	if s.tracked != nil {
		s.retrack(opts)
		return append(dst, replyOK...)
	}
	if err := s.beginTracking(opts); err != nil {
		s.srv.metrics.failed(err)
		return appendError(dst, subscribeErrorText(err))
	}
	return append(dst, replyOK...)
}

func (s *session) parseTracking(args [][]byte) (o trackingOptions, errText string) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case isWord(args[i], "redirect") && more:
			i++
			if o.redirect != nil {
				return o, "ERR A client can only redirect to a single other client"
			}
			id, ok := parseInt(args[i])
			if !ok {
				return o, errTextNotInt
			}
			if o.redirect = s.srv.sessionByID(id); o.redirect == nil {
				return o, "ERR The client ID you want redirect to does not exist"
			}
		case isWord(args[i], "bcast"):
			o.bcast = true
		case isWord(args[i], "optin"):
			o.optin = true
		case isWord(args[i], "optout"):
			o.optout = true
		case isWord(args[i], "noloop"):
			o.noloop = true
		case isWord(args[i], "prefix") && more:
			i++
			o.prefixes = append(o.prefixes, string(args[i]))
		default:
			return o, errTextSyntax
		}
	}
	return o, ""
}

// sessionByID returns the session of a client of this node, or nil.
func (s *Server) sessionByID(id int64) *session {
	for _, c := range s.sessionList() {
		if int64(c.conn.ID()) == id {
			return c
		}
	}
	return nil
}

// checkTracking reports what is wrong with options, in the order in which Redis looks, and puts them together with those
// that the client has.
func (s *session) checkTracking(o *trackingOptions) (errText string) {
	var has trackingOptions
	if s.tracked != nil {
		has = s.tracked.opts
	}
	switch {
	case !o.bcast && len(o.prefixes) > 0:
		return errTextPrefix
	case s.tracked != nil && has.bcast != o.bcast:
		return errTextSwitch
	case o.bcast && (o.optin || o.optout):
		return errTextBcastOpt
	case o.optin && o.optout:
		return errTextBothOpt
	case o.optin && has.optout, o.optout && has.optin:
		return errTextSwitchOpt
	case !o.bcast:
		return ""
	}
	if errText := collision(has.prefixes, o.prefixes); errText != "" {
		return errText
	}
	if len(o.prefixes) == 0 {
		o.prefixes = []string{""}
	}
	o.prefixes = append(slices.Clone(has.prefixes), o.prefixes...)
	slices.Sort(o.prefixes)
	o.prefixes = slices.Compact(o.prefixes)
	return ""
}

func (s *session) beginTracking(opts trackingOptions) error {
	ctx, cancel := context.WithTimeoutCause(s.srv.ctx, s.srv.cfg.Timeout, &raft.NoAnswerError{After: s.srv.cfg.Timeout})
	defer cancel()
	c := newTracked(s, opts)
	if err := s.srv.tracker.add(ctx, c); err != nil {
		return err
	}
	s.setTracked(c)
	return nil
}

// retrack changes the options of a client that is tracked. A redirection that was broken may work again.
func (s *session) retrack(opts trackingOptions) {
	s.tracked.brokenRedirect.Store(false)
	s.srv.tracker.set(s.tracked, opts)
}

func (s *session) endTracking() {
	if s.tracked == nil {
		return
	}
	s.srv.tracker.remove(s.tracked)
	s.setTracked(nil)
}

// restoreTracking puts back what a transaction has changed that was not executed. A client that is tracked again has to forget
// what it may have missed.
func (s *session) restoreTracking(to *tracked) {
	if s.tracked == to {
		return
	}
	s.endTracking()
	if to == nil {
		return
	}
	if err := s.beginTracking(to.opts); err != nil {
		s.broken("it is not tracked any more", "error", err)
		return
	}
	s.tracked.forgetAll(false)
}

func (s *session) setTracked(c *tracked) {
	s.tracked = c
	s.shown.Lock()
	s.shown.tracked = c
	s.shown.Unlock()
}

// cmdClientCaching is about the next command.
func (s *session) cmdClientCaching(dst []byte, args [][]byte) []byte {
	c := s.tracked
	switch {
	case c == nil:
		return appendError(dst, errTextCaching)
	case isWord(args[2], "yes") && !c.opts.optin:
		return appendError(dst, errTextCachingYes)
	case isWord(args[2], "no") && !c.opts.optout:
		return appendError(dst, errTextCachingNo)
	case !isWord(args[2], "yes") && !isWord(args[2], "no"):
		return appendError(dst, errTextSyntax)
	}
	c.caching, c.fresh = true, s.multi == nil && !s.planning
	return append(dst, replyOK...)
}

// nextCaching is called when a command begins, or a transaction: what CLIENT CACHING said is over when it was said of the one before.
// Commands about the client do not count.
func (s *session) nextCaching(spec *policy.Spec) {
	c := s.tracked
	switch {
	case !c.caching || s.multi != nil:
	case !c.fresh:
		c.caching = false
	case spec == nil || !isClientCommand(spec.Name):
		c.fresh = false
	}
}

func isClientCommand(name string) bool { return len(name) > 7 && name[:7] == "client|" }

func (s *session) cmdClientGetRedir(dst []byte, _ [][]byte) []byte {
	return appendInt(dst, s.tracked.redirectID())
}

// redirectID is what CLIENT GETREDIR answers. Any goroutine may call it.
func (c *tracked) redirectID() int64 {
	if c == nil {
		return -1
	}
	if to := c.redirect(); to != nil {
		return int64(to.conn.ID())
	}
	return 0
}

func (s *session) cmdClientTrackingInfo(dst []byte, _ [][]byte) []byte {
	flags, prefixes := []string{"off"}, []string(nil)
	if c := s.tracked; c != nil {
		flags, prefixes = c.flags(), c.opts.prefixes
	}
	dst = s.appendSet(appendBulk(s.appendMap(dst, 3), "flags"), len(flags))
	for _, flag := range flags {
		dst = appendBulk(dst, flag)
	}
	dst = appendInt(appendBulk(dst, "redirect"), s.tracked.redirectID())
	dst = appendArray(appendBulk(dst, "prefixes"), len(prefixes))
	for _, prefix := range prefixes {
		dst = appendBulk(dst, prefix)
	}
	return dst
}

func (c *tracked) flags() []string {
	flags := []string{"on"}
	for _, flag := range []struct {
		set  bool
		name string
	}{
		{c.opts.bcast, "bcast"},
		{c.opts.optin, "optin"}, {c.opts.optin && c.caching, "caching-yes"},
		{c.opts.optout, "optout"}, {c.opts.optout && c.caching, "caching-no"},
		{c.opts.noloop, "noloop"}, {c.brokenRedirect.Load(), "broken_redirect"},
	} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	return flags
}

// noteRead tells the tracker what a command is about to read. Scripts are taken to read the keys that they declare, as Redis
// takes those to that call a command which reads.
func (s *session) noteRead(spec *policy.Spec, args [][]byte) {
	if !s.tracked.wants() {
		return
	}
	var keys [][]byte
	switch spec.Policy {
	case policy.Read, policy.ReadTime:
		keys, _ = spec.AppendKeys(nil, args)
	case policy.ReadScript, policy.WriteScript:
		if (spec.Name == "eval" || spec.Name == "eval_ro") && len(args) > 1 && script.ReadsNothing(args[1], s.srv.readsNothing) {
			return
		}
		keys = declaredKeys(args)
	default:
		if !readsToo[spec.Name] {
			return
		}
		keys, _ = spec.AppendKeys(nil, args)
	}
	s.srv.tracker.read(s.tracked, keys)
}

// readsNothing reports whether Redis takes a command for one after which a client has nothing to remember.
func (s *Server) readsNothing(name string) bool {
	if name == "ping" || name == "echo" || name == "publish" {
		return true
	}
	spec := s.table.Spec(name)
	return spec != nil && spec.Policy.Writes() && !readsToo[name]
}

// readsToo are commands that Redis takes for reads, and that go through the log in some forms.
var readsToo = map[string]bool{"pfcount": true}

// holdPushes keeps what the client would be told until it has its replies.
func (s *session) holdPushes() {
	if s.tracked != nil {
		s.tracked.hold()
	}
}

// releasePushes is called when the client has the replies to what it has sent.
func (s *session) releasePushes() {
	if s.tracked != nil {
		s.tracked.release()
	}
}

// releaseWaiting is called when the client waits, for a reply to which nothing belongs yet that it may cache.
func (s *session) releaseWaiting() {
	if s.tracked != nil {
		s.tracked.releaseWaiting()
	}
}
