package raft

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestUncommitted(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	var u uncommitted
	for _, index := range []uint64{3, 5, 9} {
		u.wrote(index, time.Now())
	}
	for _, tc := range []struct {
		committed, observed uint64
		left                int
	}{{2, 0, 3}, {5, 2, 1}, {5, 2, 1}, {20, 3, 0}} {
		u.committed(tc.committed, h)
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		if got := m.GetHistogram().GetSampleCount(); got != tc.observed || len(u) != tc.left {
			t.Errorf("committed %d: %d were observed and %d are left, want %d and %d", tc.committed, got, len(u), tc.observed, tc.left)
		}
	}
}
