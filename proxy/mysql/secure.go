package mysql

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nexus-replication/nexus/proxy/mysql/wire"
)

// relayProtocol is what a node that hands a client over to the leader asks for, in ALPN. Both then show the certificates of
// nodes, instead of those that clients are shown and asked for.
const relayProtocol = "nexus-relay"

// sslRequestSize is that of the packet with which a client asks for TLS: the beginning of its response to the greeting.
const sslRequestSize = 32

// codeSecureTransport is how a server calls a client that does not use TLS but must.
const codeSecureTransport = 3159

// acceptTLS is the configuration of the server's end, or nil.
func acceptTLS(cfg *Config) *tls.Config {
	clients, peers := cfg.TLS, cfg.PeerServer
	if clients == nil && peers == nil {
		return nil
	}
	if clients != nil {
		clients = clients.Clone()
		clients.NextProtos = nil // clients of MySQL ask for none
	}
	if peers != nil {
		peers = peers.Clone()
		peers.NextProtos = []string{relayProtocol}
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			switch {
			case peers != nil && slices.Contains(hello.SupportedProtos, relayProtocol):
				return peers, nil
			case clients != nil:
				return clients, nil
			}
			return nil, errors.New("TLS is for other nodes here, not for clients")
		},
	}
}

// offeredTo adds TLS to the capabilities of a greeting. Other nodes know without being told.
func (s *Server) offeredTo(capabilities uint32) uint32 {
	if s.cfg.TLS != nil {
		return capabilities | wire.CapSSL
	}
	return capabilities &^ wire.CapSSL
}

// readResponse reads what a client answers to the greeting, behind TLS where it asks for that. The error is a *wire.Error
// if the client is to be told.
func (s *Server) readResponse(ctx context.Context, client *wire.Conn, local bool) ([]byte, error) {
	p, err := client.ReadPacket()
	if err != nil {
		return nil, err
	}
	secure := local
	if len(p) == sslRequestSize && binary.LittleEndian.Uint32(p)&wire.CapSSL != 0 && s.accept != nil {
		if _, err := client.ServeTLS(ctx, s.accept); err != nil {
			return nil, err
		}
		if p, err = client.ReadPacket(); err != nil {
			return nil, err
		}
		secure = true
	}
	if len(p) < sslRequestSize {
		return nil, badHandshake("Nexus speaks protocol 4.1 only")
	}
	if len(p) == sslRequestSize && binary.LittleEndian.Uint32(p)&wire.CapSSL != 0 {
		return nil, badHandshake("this node offers no TLS (-proxyCert)")
	}
	if s.cfg.TLS != nil && !s.cfg.TLSOptional && !secure {
		return nil, &wire.Error{Code: codeSecureTransport, State: "HY000", Message: "Nexus: connections without TLS are refused: this node has a certificate (-proxyCert)"}
	}
	return p, nil
}

// secureRelay puts TLS between this node and the leader, whose greeting was read. The leader is at host; response is
// what the client answered.
func (s *Server) secureRelay(ctx context.Context, leader *wire.Conn, host string, response []byte) error {
	if s.cfg.PeerClient == nil {
		return nil
	}
	if err := requestTLS(leader, response); err != nil {
		return err
	}
	cfg := s.cfg.PeerClient.Clone()
	cfg.NextProtos = []string{relayProtocol}
	cfg.ServerName = host
	state, err := leader.DialTLS(ctx, cfg)
	if err != nil {
		return err
	}
	if state.NegotiatedProtocol != relayProtocol {
		return fmt.Errorf("TLS with %s: it does not know that this is a node of its cluster", leader.RemoteAddr())
	}
	return nil
}

// requestTLS asks for TLS whoever is to get response afterwards.
func requestTLS(server *wire.Conn, response []byte) error {
	request := slices.Clone(response[:sslRequestSize])
	binary.LittleEndian.PutUint32(request, binary.LittleEndian.Uint32(request)|wire.CapSSL)
	if err := server.WritePacket(request); err != nil {
		return err
	}
	return server.Flush()
}

// secureBackend puts TLS between this node and its server where that is wanted, before response goes there.
func (s *session) secureBackend(ctx context.Context, greeting *wire.Greeting, response []byte) error {
	cfg := s.server.backend.TLS()
	if cfg == nil {
		return nil
	}
	if greeting.Capabilities&wire.CapSSL == 0 {
		return fmt.Errorf("the server at %s does not offer TLS", s.backend.RemoteAddr())
	}
	if err := requestTLS(s.backend, response); err != nil {
		return err
	}
	_, err := s.backend.DialTLS(ctx, cfg)
	return err
}
