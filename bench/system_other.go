//go:build !linux

package main

import "os"

func syncData(f *os.File) error { return f.Sync() }

func ownNetwork() (status int, done bool) { return 0, false }

func hasOwnNetwork() (bool, error) { return false, nil }
