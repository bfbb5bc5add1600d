package admin

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// ofLibraries are metrics that the libraries under package raft register for the whole process, under names of their own,
// and what they are called and said to be here.
var ofLibraries = map[string]struct{ name, help, label string }{
	"etcd_disk_wal_fsync_duration_seconds": {
		"nexus_raft_fsync_seconds", "How long the disk took to have entries of the log written for good.", ""},
	"etcd_network_peer_round_trip_time_seconds": {
		"nexus_raft_peer_round_trip_seconds", "How long it took to reach another member and back.", "peer"},
}

// libraryGatherer gathers ofLibraries.
type libraryGatherer struct{ from prometheus.Gatherer }

func (g libraryGatherer) Gather() ([]*dto.MetricFamily, error) {
	all, err := g.from.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather what libraries measure: %w", err)
	}
	var chosen []*dto.MetricFamily
	for _, family := range all {
		as, ok := ofLibraries[family.GetName()]
		if !ok {
			continue
		}
		family.Name, family.Help = &as.name, &as.help
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if as.label != "" {
					label.Name = &as.label
				}
			}
		}
		chosen = append(chosen, family)
	}
	return chosen, nil
}
