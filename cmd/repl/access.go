package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nexus-replication/nexus/cmd/internal/security"
)

// access is what a node may ask for before it answers. Each file may also come from the environment; the token comes from
// there or from a file only, because what stands on the command line is shown to everybody on the machine.
type access struct {
	files     security.Files
	tokenFile string
}

func (a *access) declare(fs *flag.FlagSet) {
	fs.StringVar(&a.files.CA, "tls-ca", "", "")
	fs.StringVar(&a.files.Cert, "tls-cert", "", "")
	fs.StringVar(&a.files.Key, "tls-key", "", "")
	fs.StringVar(&a.tokenFile, "token-file", "", "")
}

func (a *access) dialOptions(getenv func(string) string) ([]grpc.DialOption, error) {
	files := a.files
	for _, f := range []struct {
		value *string
		name  string
	}{{&files.CA, "NEXUS_TLS_CA"}, {&files.Cert, "NEXUS_TLS_CERT"}, {&files.Key, "NEXUS_TLS_KEY"}} {
		if *f.value == "" {
			*f.value = getenv(f.name)
		}
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("flag -tls-cert and -tls-key go together, want both or neither")
	}
	cfg, _, err := files.Client("grpc", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if cfg != nil {
		transport = credentials.NewTLS(cfg)
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	token := getenv("NEXUS_GRPC_TOKEN")
	if a.tokenFile != "" {
		data, err := os.ReadFile(a.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("flag -token-file: %w", err)
		}
		token = strings.TrimSpace(string(data))
		if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return nil, fmt.Errorf("flag -token-file: %s holds something else than one token", a.tokenFile)
		}
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearerToken(token)))
	}
	return options, nil
}

// bearerToken goes with every call, over TLS or not: whether the network may see it is up to whoever runs the node.
type bearerToken string

func (t bearerToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (bearerToken) RequireTransportSecurity() bool { return false }
