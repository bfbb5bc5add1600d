package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The authority of a cluster that may run is not replaced by another.
func TestSecondAuthorityIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if err := write(dir, []string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	before, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir, []string{"localhost"}); err == nil || !strings.Contains(err.Error(), ca+" is there already") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(ca); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the authority is another one: %v", err)
	}
}
