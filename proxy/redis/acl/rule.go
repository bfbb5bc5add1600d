package acl

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// Errors of rules, in the words of Redis.
var (
	errUnknown       = errors.New("Unknown command or category name in ACL")
	errSyntax        = errors.New("Syntax error")
	errKeysGiven     = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errChannelsGiven = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errNoPassword    = errors.New("The password you are trying to remove from the user does not exist")
	errHash          = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errFirstArg      = errors.New("Allowing first-arg of a subcommand is not supported")
)

// apply changes a user that is being made by one rule.
func (u *User) apply(rule string) error {
	switch strings.ToLower(rule) {
	case "":
	case "on":
		u.on = true
	case "off":
		u.on = false
	case "nopass":
		u.noPass, u.hashes = true, nil
	case "resetpass":
		u.noPass, u.hashes = false, nil
	case "skip-sanitize-payload":
		u.sanitize = "skip-sanitize-payload"
	case "sanitize-payload":
		u.sanitize = "sanitize-payload"
	case "clearselectors":
		u.selectors = u.selectors[:1]
	case "reset":
		*u = *newUser(u.selectors[0].table, u.Name)
		u.sanitize = "sanitize-payload"
	default:
		return u.applyMarked(rule)
	}
	return nil
}

// applyMarked applies the rules that a character at their beginning tells apart, and those of selectors.
func (u *User) applyMarked(rule string) error {
	switch {
	case rule[0] == '>' || rule[0] == '#':
		hash, err := passwordHash(rule)
		if err != nil {
			return err
		}
		u.noPass = false
		if !slices.Contains(u.hashes, hash) {
			u.hashes = append(u.hashes, hash)
		}
		return nil
	case rule[0] == '<' || rule[0] == '!':
		hash, err := passwordHash(rule)
		if err != nil {
			return err
		}
		i := slices.Index(u.hashes, hash)
		if i < 0 {
			return errNoPassword
		}
		u.hashes = slices.Delete(u.hashes, i, i+1)
		return nil
	case rule[0] == '(' && strings.HasSuffix(rule, ")"):
		s := newSelector(u.selectors[0].table)
		for _, part := range words(rule[1 : len(rule)-1]) {
			if err := s.apply(part); err != nil {
				return err
			}
		}
		u.selectors = append(u.selectors, s)
		return nil
	}
	return u.selectors[0].apply(rule)
}

// apply changes a selector that is being made by one rule.
func (s *selector) apply(rule string) error {
	switch lower := strings.ToLower(rule); lower {
	case "allkeys", "~*":
		s.allKeys, s.patterns = true, nil
	case "resetkeys":
		s.allKeys, s.patterns = false, nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
	case "allcommands", "+@all", "nocommands", "-@all":
		s.setAll(lower == "allcommands" || lower == "+@all")
	default:
		switch rule[0] {
		case '~', '%':
			return s.addPattern(rule)
		case '&':
			return s.addChannel(rule[1:])
		case '+', '-':
			return s.setCommand(rule)
		}
		return errSyntax
	}
	return nil
}

// passwordHash is the SHA-256 of >password, or that of #hash, in hexadecimal digits.
func passwordHash(rule string) (string, error) {
	if rule[0] == '>' || rule[0] == '<' {
		return hashOf([]byte(rule[1:])), nil
	}
	hash := rule[1:]
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", errHash
	}
	return hash, nil
}

func hashOf(password []byte) string {
	sum := sha256.Sum256(password)
	return hex.EncodeToString(sum[:])
}

// IsSecret reports whether a rule must not be repeated.
func isSecret(rule string) bool { return rule != "" && strings.ContainsRune("><#!", rune(rule[0])) }

// merge joins the words of each selector, which is in parentheses, to one rule.
func merge(words []string) ([]string, error) {
	var rules []string
	for i := 0; i < len(words); i++ {
		rule := words[i]
		for strings.HasPrefix(rule, "(") && !strings.HasSuffix(rule, ")") {
			if i++; i == len(words) {
				return nil, errors.New("Unmatched parenthesis in selector definition")
			}
			rule += " " + words[i]
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
