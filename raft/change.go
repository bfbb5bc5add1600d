package raft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	pathMembership = "/nexus/v1/membership"
	// answerShare is the part of an asker's time that is left for the leader's answer, and answerMost its bound: a leader
	// that runs out of time can say what it waited for.
	answerShare = 10
	answerMost  = 500 * time.Millisecond
)

// membershipRequest is a change handed to the leader.
type membershipRequest struct {
	Op    string `json:"op"` // add, remove, replace, transfer or verify
	URL   string `json:"url,omitempty"`
	By    string `json:"by,omitempty"` // the URL of the node that replaces the one at URL
	ID    uint64 `json:"id,omitempty"`
	Force bool   `json:"force,omitempty"`
	// Within is how long the leader may take; not limited if it is zero, as from former versions.
	Within time.Duration `json:"within,omitempty"`
}

type membershipAnswer struct {
	Error    string        `json:"error,omitempty"`
	Refused  bool          `json:"refused,omitempty"`
	Unknown  bool          `json:"unknown,omitempty"` // it may have been done, or may still be
	NotHere  bool          `json:"notHere,omitempty"` // not the leader (any more): ask again
	Complete bool          `json:"complete,omitempty"`
	Report   *VerifyReport `json:"report,omitempty"`
}

// change has req done by the leader, wherever it is.
func (r *Replicator) change(ctx context.Context, req membershipRequest) (answer membershipAnswer, err error) {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, membershipTimeout)
		defer cancel()
		ctx = limited
	}
	ctx, cancel := r.whileRunning(ctx)
	defer cancel()
	ctx, stop := r.whileLed(ctx)
	defer stop()
	for {
		if err := r.absence(); err != nil {
			return answer, err
		}
		answer, err := r.changeOnce(ctx, req)
		switch {
		case err == nil:
			return answer, nil
		case r.ctx.Err() != nil:
			return answer, fmt.Errorf("%s: %w: %w", req.Op, r.stopCause(), err)
		case !errors.Is(err, errNotLeader):
			return answer, notDoneWithout(ctx, err)
		}
		select {
		case <-time.After(membershipPause):
		case <-ctx.Done():
			if missing := leaderlessCause(ctx); missing != nil {
				return answer, fmt.Errorf("%w: %w", ErrNotDone, missing)
			}
			return answer, fmt.Errorf("%s: no leader: %w", req.Op, context.Cause(ctx))
		}
	}
}

func (r *Replicator) changeOnce(ctx context.Context, req membershipRequest) (membershipAnswer, error) {
	leader := r.leader.Load()
	if leader == r.identity.ID {
		report, err := r.changeAsLeader(ctx, req)
		return membershipAnswer{Report: report}, err
	}
	url := r.membership.url(leader)
	if url == "" {
		return membershipAnswer{}, errNotLeader
	}
	return r.askLeader(ctx, url, req)
}

func (r *Replicator) askLeader(ctx context.Context, url string, req membershipRequest) (answer membershipAnswer, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		req.Within = left - min(answerMost, left/answerShare)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return answer, err
	}
	hreq, err := http.NewRequestWithContext(ctx, http.MethodPost, url+pathMembership, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	hreq.Header.Set(headerCluster, formatID(r.identity.Cluster))
	resp, err := r.client.Do(hreq)
	if err != nil {
		if missing := leaderlessCause(ctx); missing != nil {
			err = missing
		}
		return answer, req.unanswered(url, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxIdentityBytes)).Decode(&answer); err != nil {
		return answer, req.unanswered(url, fmt.Errorf("%s: %w", resp.Status, err))
	}
	switch {
	case answer.Complete:
		return answer, nil
	case answer.NotHere:
		return answer, errNotLeader
	case answer.Refused:
		return answer, marked(ErrRefused, answer.Error)
	case answer.Unknown:
		return answer, marked(ErrOutcomeUnknown, answer.Error)
	default:
		return answer, errors.New(answer.Error)
	}
}

// marked is an error of the leader's under the mark that it had there.
func marked(mark error, text string) error {
	return fmt.Errorf("%w: %s", mark, Unmarked(text, mark))
}

// unanswered is what is known when the leader was asked and no answer came: something may have become of a change whose
// request was sent. A comparison changes nothing.
func (req *membershipRequest) unanswered(url string, err error) error {
	var op *net.OpError
	if req.Op == "verify" || errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("ask the leader %s: %w", url, err)
	}
	return fmt.Errorf("%w: the leader %s did not answer, it may still happen: %w", ErrOutcomeUnknown, url, err)
}

func (r *Replicator) serveMembership(w http.ResponseWriter, req *http.Request) {
	var change membershipRequest
	if err := json.NewDecoder(io.LimitReader(req.Body, maxIdentityBytes)).Decode(&change); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	ctx, cancel := r.whileRunning(req.Context())
	defer cancel()
	ctx, stop := r.whileLed(ctx)
	defer stop()
	if change.Within > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, change.Within, &NoAnswerError{After: change.Within.Round(100 * time.Millisecond)})
		defer cancel()
		ctx = limited
	}
	report, err := r.changeAsLeader(ctx, change)
	answer := membershipAnswer{
		Report: report, Complete: err == nil, NotHere: errors.Is(err, errNotLeader),
		Refused: errors.Is(err, ErrRefused), Unknown: errors.Is(err, ErrOutcomeUnknown),
	}
	if err != nil {
		answer.Error = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the asker sees a lost answer as an error
}

// perhapsDone marks the error of something that the loop was to begin as of unknown outcome, if nobody waited for the
// loop any more: it may come to it yet.
func (r *Replicator) perhapsDone(ctx context.Context, err error) error {
	if ctx.Err() == nil && r.ctx.Err() == nil || errors.Is(err, errNotLeader) || errors.Is(err, ErrRefused) || errors.Is(err, errCutting) {
		return err
	}
	return fmt.Errorf("%w: it may still happen: %w", ErrOutcomeUnknown, err)
}
