// Package settings reads the settings of a program from flags, the environment and a configuration file.
//
// A setting is one thing with one name, however it is given: a flag (-grpcPort 9121, one or two dashes), a variable of
// the environment (NEXUS_GRPC_PORT) or a key of a YAML file (grpcPort: 9121), in this order of precedence, then the
// default. A bad value is reported in one line that names the flag, where the value came from, the value and what is
// expected; so is a key of the file that means nothing. The help text and the sample file are made from the same
// declarations, so they cannot fall behind.
package settings
