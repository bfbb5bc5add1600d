package mysql

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	appliers "github.com/nexus-replication/nexus/appliers/mysql"
	"github.com/nexus-replication/nexus/proxy/mysql/statement"
	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// schemaChange executes DDL on all members: behind what is open in this session, which it commits, and behind a barrier
// that keeps the transactions of all others out.
func (s *session) schemaChange(c call) error {
	if s.tx != nil && s.tx.xa == nil || s.tx == nil && !s.mayWrite() {
		return s.changeInReadOnly(&c.what)
	}
	if err := s.commit(); err != nil {
		return err
	}
	current, err := s.row("SELECT IFNULL(DATABASE(),'')")
	if err != nil {
		return err
	}
	if e := s.refuseSchema(c, current[0], s.dialect); e != nil {
		return e
	}
	if c, err = s.withRole(c); err != nil {
		return err
	}
	text := c.text
	if c.what.Rewritten != "" {
		text = c.what.Rewritten
	}
	if err := s.rehearse(c, text); err != nil {
		return err
	}
	prelude, user, err := s.prelude(c.what.Engine != "")
	if err != nil {
		return err
	}
	prelude = append(ownRoles(c.what.Roles), prelude...)
	if c.what.Rewritten == "" {
		text = s.asClient(c, withDefiner(text, c.what.Definer, user), user)
	}
	if plain := c.what.ByDefaultAlgorithm(text, s.dialect); plain != text {
		if err := s.mayAlterSo(c, prelude, text); err != nil {
			return err
		}
		text = plain
	}
	left, err := s.leavesDatabase(&c.what, current[0])
	if err != nil {
		return err
	}
	err = s.behindBarrier(func(ctx context.Context) error {
		err := s.proposeSchema(ctx, prelude, text)
		var unordered *unorderedError
		if errors.As(err, &unordered) {
			return s.renumber(ctx, c, prelude, text, unordered)
		}
		return err
	})
	var final *finalError
	if errors.Is(err, errHangUp) || errors.As(err, &final) {
		return err
	}
	err = s.withoutValue(&c.what, err)
	dropped, lost := left()
	if err := errors.Join(lost, err); err != nil {
		return err
	}
	s.dropped = dropped || c.what.Verb == "DROP DATABASE" || c.what.Verb == "DROP SCHEMA" // of any database, as the server says it
	if err := s.unlockDropped(&c.what, current[0]); err != nil {
		return err
	}
	return s.noteDefaultEngine(c)
}

// codeNoPartition is for a row that no partition takes.
const codeNoPartition = 1526

// withoutPartition is how the server says it to who may not read the row.
const withoutPartition = "Table has no partition for some existing values"

// withoutValue takes a value of the table out of the error of a schema change, if the client may not read it: the account that has executed it may.
func (s *session) withoutValue(what *statement.Statement, err error) error {
	var server, denied *wire.Error
	if !errors.As(err, &server) || server.Code != codeNoPartition || len(what.Tables) == 0 {
		return err
	}
	_, e := s.tryRow("SELECT * FROM " + what.Tables[0] + " LIMIT 0")
	if e == nil || !errors.As(e, &denied) {
		return errors.Join(err, e, s.closeImplicit())
	}
	told := *server
	told.Message = withoutPartition
	s.facts.warnings = []appliers.Warning{{Level: "Error", Code: told.Code, Message: told.Message}}
	return &told
}

// behindBarrier calls change while no transaction is open on any connection but this one.
func (s *session) behindBarrier(change func(context.Context) error) error {
	patience, err := s.barrierPatience()
	if err != nil {
		return err
	}
	return s.behindBarrierFor(patience, change)
}

// behindBarrierFor is behindBarrier, for a session that cannot be asked how long it waits.
func (s *session) behindBarrierFor(patience time.Duration, change func(context.Context) error) error {
	if s.locked.excludes() { // it is there already
		ctx, cancel := s.context(s.server.cfg.SchemaTimeout)
		defer cancel()
		return change(ctx)
	}
	barrier, cancelBarrier := s.interruptible(patience)
	err := s.server.gate.exclude(barrier)
	cancelBarrier()
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	if err != nil {
		return &wire.Error{Code: codeLockTimeout, State: "HY000", Message: fmt.Sprintf("Nexus: the schema was not changed: "+
			"%s for %v; end them and try again", s.server.gate.held(), patience)}
	}
	defer s.server.gate.readmit()
	ctx, cancel := s.context(s.server.cfg.SchemaTimeout)
	defer cancel()
	return change(ctx)
}

// barrierPatience is how long a schema change of the session waits for open transactions: its lock_wait_timeout, as far as
// the others, which are kept waiting meanwhile, can be asked to bear.
func (s *session) barrierPatience() (time.Duration, error) {
	row, err := s.row("SELECT @@lock_wait_timeout")
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseUint(row[0], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("lock_wait_timeout of the session: %w", err)
	}
	return min(max(time.Duration(seconds)*time.Second, time.Millisecond), s.server.cfg.BarrierTimeout), nil
}

// proposeSchema has texts executed behind prelude on all members, all of them or none, whatever dies meanwhile. The error is that of the first which fails; those behind
// it are executed all the same.
func (s *session) proposeSchema(ctx context.Context, prelude []string, texts ...string) error {
	commands := s.server.backend.Sequences(s.epoch)
	first := len(commands)
	for _, text := range texts {
		if err := s.refuseNumbering(ctx, prelude, text); err != nil {
			return err
		}
		if err := s.refuseUnreadable(ctx, prelude, text); err != nil {
			return err
		}
		commands = append(commands, appliers.EncodeSchema(s.epoch, prelude, text))
	}
	outcome, err := s.server.node.Propose(ctx, commands)
	if err != nil {
		e := commitError(err)
		e.Message = strings.ReplaceAll(e.Message, "the transaction", "the schema change")
		return e
	}
	for _, reply := range outcome.Replies[first:] {
		if err := s.schemaReply(reply.Data, "the schema was not changed"); err != nil {
			return err
		}
		s.server.stats.schema.Add(1)
	}
	return nil
}

// schemaReply takes what the server of this node has answered to what was executed on all of them.
func (s *session) schemaReply(reply []byte, undone string) error {
	verdict, err := appliers.DecodeReply(reply)
	var server *appliers.ServerError
	switch {
	case errors.As(err, &server):
		if s.facts.warnings = appliers.WarningsOf(reply); len(s.facts.warnings) == 0 {
			s.facts.warnings = []appliers.Warning{{Level: "Error", Code: server.Code, Message: server.Message}}
		}
		return &wire.Error{Code: server.Code, State: server.State, Message: server.Message}
	case err != nil:
		return &wire.Error{Code: codeUnknown, State: "HY000", Message: OutcomeUnknown + ": the answer was lost"}
	case verdict == appliers.Fenced:
		return s.final(&wire.Error{Code: codeDeadlock, State: "40001", Message: "Nexus: " + undone + ", because the leadership moved; try again"})
	}
	answer, err := appliers.DecodeAnswer(reply)
	s.facts.warnings, s.checks, s.affected, s.info = answer.Warnings, answer.Checks, answer.Affected, answer.Info
	return err
}

// prelude makes another session understand a text as this one does. substitute says that the text names an engine that its
// table does not get.
func (s *session) prelude(substitute bool) (texts []string, user string, err error) {
	return s.preludeWith("", substitute, nil)
}

// preludeWith is prelude for a text that stands behind SET STATEMENT with settings, if there are some. It is read in what inMode makes of the sql_mode.
func (s *session) preludeWith(settings string, substitute bool, inMode func(mode string) string) (texts []string, user string, err error) {
	before := ""
	if settings != "" {
		before = "SET STATEMENT " + settings + " FOR "
	}
	row, err := s.row(before + "SELECT " + preludeColumns)
	if err != nil {
		return nil, "", err
	}
	if len(row) == preludeLength {
		if row[preludeResults], err = s.chosenResults(before); err != nil {
			return nil, "", err
		}
		if inMode != nil {
			row[1] = inMode(row[1])
		}
	}
	return preludeOf(row, substitute)
}

// chosenResults asks for the client's character_set_results, in the answer to which it is in force. Zeros are between the letters where it is one
// of more than a byte for each.
func (s *session) chosenResults(before string) (string, error) {
	values, err := s.tryRow("SET STATEMENT sql_select_limit=1 FOR " + before + "SELECT IFNULL(@@character_set_results,'NULL')")
	if err != nil {
		return "", err
	}
	if len(values) != 1 {
		return "", errors.New("the session's variables were not told")
	}
	return strings.ReplaceAll(values[0], "\x00", ""), nil
}

// preludeColumns are what a prelude is made of. The session's own database is still there for it when it was dropped. The names of columns
// are whole, because a procedure may have variables that are called like them.
const preludeColumns = "(SELECT HEX(CONVERT(information_schema.schemata.schema_name USING utf8mb4)) FROM information_schema.schemata WHERE information_schema.schemata.schema_name=DATABASE()), @@sql_mode, @@character_set_client, @@collation_connection, @@foreign_key_checks," +
	" @@time_zone, @@check_constraint_checks, @@explicit_defaults_for_timestamp, CURRENT_USER(), @@collation_server, @@innodb_strict_mode, @@default_storage_engine, @@system_versioning_alter_history," +
	" @@old_mode, @@sql_if_exists, @@sql_notes, @@lc_messages, @@use_stat_tables, @@histogram_size, @@histogram_type, @@auto_increment_increment, @@auto_increment_offset," +
	" IFNULL(@@character_set_results,'NULL'), @@div_precision_increment, @@default_week_format, @@lc_time_names, @@innodb_compression_default," +
	" IF(ABS(@@timestamp-UNIX_TIMESTAMP(SYSDATE(6)))>1, @@timestamp, '')"

// preludeLength is how many columns these are, and preludeResults the one of character_set_results, which a node's own question does not tell.
const (
	preludeLength  = 28
	preludeResults = 22
)

func preludeOf(row []string, substitute bool) (texts []string, user string, err error) {
	if len(row) != preludeLength {
		return nil, "", errors.New("the session's variables were not told")
	}
	mode, strict := row[1], row[10]
	if substitute { // the server replaces the engine by itself, with a note
		mode = without(mode, "NO_ENGINE_SUBSTITUTION")
	}
	if substitute || !strings.EqualFold(row[11], "InnoDB") { // and does not mind options that InnoDB does not know
		strict = "0"
	}
	for _, plain := range append([]string{row[2], row[3], row[4], row[6], row[7], row[9], strict, row[12]}, row[14:27]...) {
		if !plainWord.MatchString(plain) {
			return nil, "", refused(unreadable, plain)
		}
	}
	for _, list := range []string{mode, row[5], row[13]} {
		if !plainList.MatchString(list) {
			return nil, "", refused(unreadable, list)
		}
	}
	if row[0] != "" { // it comes before the character set that the client's own text is in
		database, err := hex.DecodeString(row[0])
		if err != nil {
			return nil, "", fmt.Errorf("the session's database: %w", err)
		}
		texts = append(texts, "SET NAMES utf8mb4", "USE "+quoteName(string(database)))
	}
	if row[27] != "" { // the client has set it; else it is the time of the entry
		if !plainTime.MatchString(row[27]) {
			return nil, "", refused(unreadable, row[27])
		}
		texts = append(texts, "SET SESSION timestamp="+row[27])
	}
	// sql_mode comes last: these texts are written in the default one.
	return append(texts,
		fmt.Sprintf("SET SESSION character_set_client=%s, collation_connection=%s, foreign_key_checks=%s, time_zone=%s, check_constraint_checks=%s, explicit_defaults_for_timestamp=%s",
			row[2], row[3], row[4], literal(row[5]), row[6], row[7]),
		fmt.Sprintf("SET SESSION div_precision_increment=%s, default_week_format=%s, lc_time_names=%s, innodb_compression_default=%s", row[23], row[24], row[25], row[26]),
		fmt.Sprintf("SET SESSION collation_server=%s, innodb_strict_mode=%s, system_versioning_alter_history=%s, alter_algorithm='DEFAULT'", row[9], strict, row[12]),
		fmt.Sprintf("SET SESSION old_mode=%s, sql_if_exists=%s, sql_notes=%s, lc_messages=%s, use_stat_tables=%s, histogram_size=%s, histogram_type=%s,"+
			" auto_increment_increment=%s, auto_increment_offset=%s, character_set_results=%s",
			literal(row[13]), row[14], row[15], row[16], row[17], row[18], row[19], row[20], row[21], resultCharset(row[preludeResults])),
		"SET SESSION sql_mode="+literal(mode)), row[8], nil
}

// plainTime is a time in seconds.
var plainTime = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// resultCharset is what the server's words come in: the client's own character set, if this program can read them in it too.
func resultCharset(name string) string {
	if isWide(name) || name == "filename" {
		return "utf8mb4"
	}
	return name
}

// isWide reports whether letters of ASCII have more than a byte in a character set.
func isWide(name string) bool {
	switch name {
	case "ucs2", "utf16", "utf16le", "utf32":
		return true
	}
	return false
}

// unreadable is for a session with such a character_set_results that this program cannot read its settings.
const unreadable = "a schema change is refused with this character_set_results: a variable of the session is told to be %q in it"

// plainWord is a value of a variable that needs no quotes.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// plainList is a list of modes, or a time zone, as a client can read it: in a character set of results such as filename the server
// tells something else, which no server would take.
var plainList = regexp.MustCompile(`^[A-Za-z0-9_,+:/-]*$`)

// without takes a word out of a list with commas.
func without(list, word string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(list, ","), func(w string) bool { return w == word }), ",")
}

func literal(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
}

// withDefiner names the client as the definer, where the text leaves that to the session: the one that executes it is
// the node's.
func withDefiner(text string, d *statement.Definer, user string) string {
	if d == nil || !d.Current {
		return text
	}
	name, host := splitAccount(user)
	definer := "DEFINER=" + quoteName(name) + "@" + quoteName(host)
	if d.Start == d.End {
		definer += " "
	}
	return text[:d.Start] + definer + text[d.End:]
}

// splitAccount takes what CURRENT_USER() says apart.
func splitAccount(user string) (name, host string) {
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		return user[:at], user[at+1:]
	}
	return user, "%"
}
