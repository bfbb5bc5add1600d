#!/bin/sh
# Writes nexus.pb.go and nexus_grpc.pb.go from nexus.proto. Needs protoc (Debian: protobuf-compiler) and go; the two
# plugins are built at the versions below into a directory that is removed afterwards.
set -eu

PROTOC_GEN_GO=v1.36.12
PROTOC_GEN_GO_GRPC=v1.6.2

cd "$(dirname "$0")"
command -v protoc >/dev/null || {
	echo "generate.sh: protoc is missing: apt-get install protobuf-compiler" >&2
	exit 1
}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install "google.golang.org/protobuf/cmd/protoc-gen-go@$PROTOC_GEN_GO"
GOBIN=$bin go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$PROTOC_GEN_GO_GRPC"
PATH=$bin:$PATH protoc \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	nexus.proto
