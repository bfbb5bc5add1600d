package settings

import (
	"slices"
	"testing"
)

func TestMisspelledVariables(t *testing.T) {
	var port, name string
	s := New("p", "")
	s.Group("g", Setting{Name: "grpcPort", Value: String(&port)}, Setting{Name: "nexus-cluster-name", Value: String(&name)})
	got := s.Misspelled([]string{
		"NEXUS_GRPC_PORT=1", "NEXUS_CLUSTER_NAME=n", "NEXUS_CONFIG=f", "PATH=/bin", // right
		"NEXUS_PORT_9121_TCP=tcp://10.0.0.1:9121", "NEXUS_TOKEN=secret", "NEXUS_GRPCPORTS=", // of others, or empty
		"NEXUS_GRPCPORT=1", "nexus_grpc_port=1", "NEXUS_CLUSTR_NAME=n",
	})
	want := []string{
		"the variable NEXUS_CLUSTR_NAME is not a setting and has no effect: is NEXUS_CLUSTER_NAME meant?",
		"the variable NEXUS_GRPCPORT is not a setting and has no effect: is NEXUS_GRPC_PORT meant?",
		"the variable nexus_grpc_port is not a setting and has no effect: is NEXUS_GRPC_PORT meant?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
