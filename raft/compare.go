package raft

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxComparedBuckets bounds the items that are fetched to count what differs; beyond it, the count is a lower bound.
const maxComparedBuckets = 64

// compare finds out who differs from the majority, and in what. good is the URL of a member that holds what the majority
// holds; "" if there is no majority.
func (r *Replicator) compare(ctx context.Context, id uint64, answers []*digestAnswer) (report *VerifyReport, good string, err error) {
	votes := make(map[string]int)
	usable, voters := 0, 0
	var reference *digestAnswer
	for _, a := range answers {
		// Who was found to differ has no say: of two members it could never be repaired.
		counts := !a.member.Learner && !a.Odd
		if counts {
			voters++
		}
		if !a.usable() {
			continue
		}
		usable++
		if counts {
			votes[a.key()]++
		}
		own := a.member.ID == r.identity.ID
		if reference == nil || votes[a.key()] > votes[reference.key()] || own && votes[a.key()] == votes[reference.key()] {
			reference = a
		}
	}
	if reference == nil || usable < 2 && len(answers) > 1 {
		return nil, "", fmt.Errorf("verify: %d of %d members could be compared: %s", usable, len(answers), firstProblem(answers))
	}
	if votes[reference.key()] > voters/2 {
		good = reference.member.URL
	}
	report = &VerifyReport{Position: Position{Term: reference.Term, Index: reference.Index}}
	for _, a := range answers {
		m := VerifiedMember{ID: a.member.ID, URL: a.member.URL, Problem: a.Error}
		for _, p := range a.Parts {
			m.Items += p.Items
		}
		if a.usable() && a.key() != reference.key() {
			if m.Differences, err = r.differences(ctx, id, a, reference); err != nil {
				return nil, "", err
			}
		}
		report.Members = append(report.Members, m)
	}
	return report, good, nil
}

func firstProblem(answers []*digestAnswer) string {
	for _, a := range answers {
		if a.Error != "" {
			return a.member.URL + ": " + a.Error
		}
	}
	return "the cluster has one member"
}

func (r *Replicator) differences(ctx context.Context, id uint64, a, b *digestAnswer) ([]PartDifference, error) {
	var list []PartDifference
	names := make(map[string]bool)
	for _, p := range slices.Concat(a.Parts, b.Parts) {
		names[p.Name] = true
	}
	for name := range names {
		pa, _ := a.part(name)
		pb, _ := b.part(name)
		if pa == pb {
			continue
		}
		d, err := r.countDifferences(ctx, id, name, a.member.URL, b.member.URL)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b PartDifference) int { return strings.Compare(a.Part, b.Part) })
	return list, nil
}

func (r *Replicator) countDifferences(ctx context.Context, id uint64, part, urlA, urlB string) (PartDifference, error) {
	d := PartDifference{Part: part}
	query := url.Values{"id": {strconv.FormatUint(id, 16)}, "part": {part}}
	var sums [2]bucketsAnswer
	for i, at := range []string{urlA, urlB} {
		if err := r.askPeer(ctx, at, pathDigest, query, &sums[i]); err != nil {
			return d, err
		}
		if len(sums[i].Sums) != 8*digestBuckets {
			return d, fmt.Errorf("%s has sent %d bytes of sums", at, len(sums[i].Sums))
		}
	}
	var differing []string
	for b := range digestBuckets {
		if binary.BigEndian.Uint64(sums[0].Sums[8*b:]) != binary.BigEndian.Uint64(sums[1].Sums[8*b:]) {
			differing = append(differing, strconv.Itoa(b))
		}
	}
	if len(differing) > maxComparedBuckets {
		d.AtLeast = true
		d.Items = uint64(len(differing) - maxComparedBuckets) // one in each, at least
		differing = differing[:maxComparedBuckets]
	}
	query.Set("buckets", strings.Join(differing, ","))
	var lists [2]itemsAnswer
	for i, at := range []string{urlA, urlB} {
		if err := r.askPeer(ctx, at, pathDigest, query, &lists[i]); err != nil {
			return d, err
		}
	}
	d.Items += countDifferent(lists[0].Items, lists[1].Items)
	return d, nil
}

// countDifferent counts the keys whose values differ or that only one side has.
func countDifferent(a, b []byte) (n uint64) {
	values := make(map[uint64]uint64, len(a)/16)
	for ; len(a) >= 16; a = a[16:] {
		values[binary.BigEndian.Uint64(a)] = binary.BigEndian.Uint64(a[8:])
	}
	for ; len(b) >= 16; b = b[16:] {
		key := binary.BigEndian.Uint64(b)
		if value, ok := values[key]; !ok || value != binary.BigEndian.Uint64(b[8:]) {
			n++
		}
		delete(values, key)
	}
	return n + uint64(len(values))
}
