package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nexus-replication/nexus/bench/load"
	"github.com/nexus-replication/nexus/integration/cluster"
)

// Programs that make builds from the module in bench/etcd.
const (
	etcdServer = "etcd"
	etcdLoad   = "etcdload"
)

// startEtcd starts a cluster of three.
func startEtcd(ctx context.Context, e *env) (*system, error) {
	for _, program := range []string{etcdServer, etcdLoad} {
		if _, err := os.Stat(filepath.Join(e.bin, program)); err != nil {
			return nil, unavailable{fmt.Errorf("no etcd here, make bin/etcd builds it: %w", err)}
		}
	}
	const size = 3
	first, err := cluster.FreePorts(2 * size)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.dir, "etcd-")
	if err != nil {
		return nil, err
	}
	var members []string
	url := func(port int) string { return "http://" + cluster.Address(port) }
	for i := range size {
		members = append(members, fmt.Sprintf("etcd-%d=%s", i, url(first+2*i+1)))
	}
	s := new(system)
	var clients []string
	for i := range size {
		name, client, peer := fmt.Sprintf("etcd-%d", i), url(first+2*i), url(first+2*i+1)
		clients = append(clients, cluster.Address(first+2*i))
		s.processes = append(s.processes, backends(&cluster.Process{
			Name: name, Path: filepath.Join(e.bin, etcdServer), Log: filepath.Join(dir, name+".log"),
			Args: []string{"--name", name, "--data-dir", filepath.Join(dir, name), "--log-level", "error",
				"--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new"},
		})...)
	}
	s.etcd = true
	s.stop = func() error { return stopAll(s.processes) }
	s.at = func(ctx context.Context, _ string) (string, error) { return etcdLeader(ctx, clients) }
	for _, p := range s.processes {
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	if _, err := s.at(ctx, leader); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// etcdLeader waits for a member that says that it leads.
func etcdLeader(ctx context.Context, clients []string) (string, error) {
	for {
		var last error
		for _, addr := range clients {
			leads, err := etcdLeads(ctx, addr)
			if leads {
				return addr, nil
			}
			last = err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no leader of etcd: %w", errors.Join(last, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func etcdLeads(ctx context.Context, addr string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v3/maintenance/status", strings.NewReader("{}"))
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var status struct {
		Leader string
		Header struct {
			MemberID string `json:"member_id"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return false, fmt.Errorf("status of etcd: %w", err)
	}
	return status.Leader != "" && status.Leader != "0" && status.Leader == status.Header.MemberID, nil
}

// runEtcdLoad drives etcd by a program of its own; for no time, it fills it.
func runEtcdLoad(ctx context.Context, e *env, addr string, s load.Spec, d time.Duration) (*load.Result, time.Duration, error) {
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, 0, err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(e.bin, etcdLoad), "-addr", addr, "-spec", string(spec), "-duration", d.String())
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w: %s", etcdLoad, err, errs.Bytes())
	}
	if d == 0 {
		return nil, 0, nil
	}
	r := new(load.Result)
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, 0, fmt.Errorf("%s: %w: %s", etcdLoad, err, out.Bytes())
	}
	return r, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
