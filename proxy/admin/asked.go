package admin

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// askedHeader names the kind of server that a statement is for: Redis or MySQL.
const askedHeader = "nexus-backend"

// AskedOf returns a context for a call of Save or Load whose statement is for a kind of server.
func AskedOf(ctx context.Context, kind string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, askedHeader, kind)
}

// checkAsked refuses a statement for another kind of server, which could be wrong about all but its name. Callers need not
// say which they mean.
func (s *service) checkAsked(ctx context.Context) error {
	asked := metadata.ValueFromIncomingContext(ctx, askedHeader)
	if len(asked) == 0 || s.cfg.Kind == "" || asked[0] == s.cfg.Kind {
		return nil
	}
	return invalid(fmt.Sprintf("this is a node of %s, not of %s: use repl HOST:PORT %s, or the address of another node",
		s.cfg.Kind, asked[0], strings.ToLower(s.cfg.Kind)))
}

// tellKind names the kind of server of this node in the header of the answer.
func (s *service) tellKind(ctx context.Context) {
	if s.cfg.Kind != "" {
		_ = grpc.SetHeader(ctx, metadata.Pairs(askedHeader, s.cfg.Kind)) // fails where none is sent any more
	}
}

// KindOf returns the kind of server that the header of an answer names; "" where it names none.
func KindOf(header metadata.MD) string {
	if kinds := header.Get(askedHeader); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}
