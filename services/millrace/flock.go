package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock takes the file's lock, or fails at once. It ends with the process.
func flock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
