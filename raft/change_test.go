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
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What a member says of a change that the leader was asked for is what the leader knows, and no more.
func TestChangeAskedOfTheLeader(t *testing.T) {
	answers := func(a membershipAnswer) leaderOf {
		return func(*http.Request) (*http.Response, error) {
			body, err := json.Marshal(a)
			return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(bytes.NewReader(body))}, err
		}
	}
	fails := func(err error) leaderOf {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	broken := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(strings.NewReader(`{"compl`))}, nil
	}
	remove, verify := membershipRequest{Op: "remove", URL: "http://127.0.0.1:3"}, membershipRequest{Op: "verify"}
	for _, tc := range []struct {
		name   string
		req    membershipRequest
		leader leaderOf
		is     error
		unsure bool
	}{
		{"done", remove, answers(membershipAnswer{Complete: true}), nil, false},
		{"refused", remove, answers(membershipAnswer{Refused: true, Error: "refused: it is the last voter"}), ErrRefused, false},
		{"refused on the way", remove, answers(membershipAnswer{Refused: true, Error: "hand over: refused: no other voter"}), ErrRefused, false},
		{"unknown", remove, answers(membershipAnswer{Unknown: true, Error: "remove: outcome unknown"}), ErrOutcomeUnknown, true},
		{"unknown on the way", remove, answers(membershipAnswer{Unknown: true, Error: "remove: outcome unknown: node stopped"}), ErrOutcomeUnknown, true},
		{"failed", remove, answers(membershipAnswer{Error: "not yet"}), nil, false},
		{"lost on the way", remove, fails(&net.OpError{Op: "read", Err: errors.New("reset")}), ErrOutcomeUnknown, true},
		{"out of time", remove, fails(context.DeadlineExceeded), ErrOutcomeUnknown, true},
		{"answer cut off", remove, broken, ErrOutcomeUnknown, true},
		{"never sent", remove, fails(&net.OpError{Op: "dial", Err: errors.New("refused")}), nil, false},
		{"a comparison lost", verify, fails(&net.OpError{Op: "read", Err: errors.New("reset")}), nil, false},
	} {
		c := &testCluster{t: t, urls: []string{"http://127.0.0.1:1"}, dirs: []string{t.TempDir()}, stores: []*mapStore{newMapStore()}}
		r, err := New(c.config(0))
		if err != nil {
			t.Fatal(err)
		}
		r.client.Transport = tc.leader
		_, err = r.askLeader(t.Context(), "http://127.0.0.1:2", tc.req)
		if (err == nil) != (tc.name == "done") || tc.is != nil && !errors.Is(err, tc.is) || errors.Is(err, ErrOutcomeUnknown) != tc.unsure {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err != nil && (strings.Count(err.Error(), "refused") > 1 || strings.Count(err.Error(), "outcome unknown") > 1) {
			t.Errorf("%s: twice in %q", tc.name, err)
		}
	}
}

// A leader has less time than the member that asks it, so that what it says about the end of its time arrives.
func TestLeaderHasLessTimeThanTheAsker(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	r := c.nodes[c.leader()]
	nobody := freeURL(t)
	r.client.Transport = leaderOf(func(req *http.Request) (*http.Response, error) {
		var asked membershipRequest
		if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
			return nil, err
		}
		deadline, _ := req.Context().Deadline()
		if left := time.Until(deadline); asked.Within <= 0 || asked.Within > time.Minute-answerMost {
			t.Errorf("the leader has %v where the asker has %v", asked.Within, left)
		}
		return nil, &net.OpError{Op: "read", Err: errors.New("reset")}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := r.askLeader(ctx, "http://127.0.0.1:2", membershipRequest{Op: "add", URL: nobody}); err == nil {
		t.Error("a leader that does not answer has added a node")
	}

	r.client.Transport = leaderOf(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	})
	answer := serveChange(t, r, membershipRequest{Op: "add", URL: nobody, Within: time.Second})
	if !strings.Contains(answer.Error, nobody+": it did not answer so far") || answer.Unknown {
		t.Errorf("a leader that was asked to add nobody says: %+v", answer)
	}
}

// serveChange returns what a leader answers to a member.
func serveChange(t *testing.T, r *Replicator, req membershipRequest) (answer membershipAnswer) {
	t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r.serveMembership(w, httptest.NewRequest(http.MethodPost, pathMembership, bytes.NewReader(body)))
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// Members are called by their URLs.
func TestErrorsNameURLs(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	r := c.nodes[c.leader()]
	const away, learner = "http://127.0.0.1:1", "http://127.0.0.1:2"
	r.membership.put(Member{ID: 7, URL: away})
	r.membership.put(Member{ID: 8, URL: learner, Learner: true})
	for id, want := range map[uint64]string{7: "outcome unknown: .*" + away, 8: "refused: " + learner + " is a learner", 9: "refused: node 0{15}9 is not a member"} {
		says := regexp.MustCompile("^" + want)
		eventually(t, "answer that says "+want, func() bool { // where the loop is late, there is none to be said
			answer := serveChange(t, r, membershipRequest{Op: "transfer", ID: id, Within: 100 * time.Millisecond})
			if id != 9 && strings.Contains(answer.Error, fmt.Sprintf("%016x", id)) {
				t.Fatal(answer.Error)
			}
			return says.MatchString(answer.Error)
		})
	}
	if why := r.whyWaiting(); !strings.Contains(why.Error(), "leader is "+c.urls[0]+", ") {
		t.Error(why)
	}
}

// A change that waits for a raft loop which hangs may be begun when nobody waits any more.
func TestChangeBehindALoopThatHangs(t *testing.T) {
	c := newTestCluster(t, 1, nil)
	c.propose(0, "k=v")
	r := c.nodes[c.leader()]
	r.membership.put(Member{ID: 7, URL: "http://127.0.0.1:1"})
	goOn := make(chan struct{})
	defer close(goOn)
	r.mail.call(func() { <-goOn })
	for _, req := range []membershipRequest{{Op: "remove", URL: "http://127.0.0.1:1", Force: true}, {Op: "transfer", ID: 7}} {
		req.Within = 100 * time.Millisecond
		answer := serveChange(t, r, req)
		if !answer.Unknown || answer.Complete || answer.Refused || answer.NotHere {
			t.Errorf("%s: %+v", req.Op, answer)
		}
	}
}
