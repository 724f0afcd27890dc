package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// disks are small file systems in memory, each for one server.
type disks struct {
	dir    string
	mounts []string
}

// mountDisks mounts a file system of so many MiB for each name.
func mountDisks(dir string, names []string, mib int) (*disks, error) {
	d := &disks{dir: dir}
	for _, name := range names {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return d, fmt.Errorf("making a folder for %s: %w", name, err)
		}
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib)); err != nil {
			return d, fmt.Errorf("mounting a disk for %s: %w; run as root, or leave --disk out", name, err)
		}
		d.mounts = append(d.mounts, folder)
	}
	return d, nil
}

// fill fills the disk of a server to its last byte; free frees it.
func (d *disks) fill(name string) (free func(), err error) {
	ballast := filepath.Join(d.dir, name, "ballast")
	f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	chunk := make([]byte, 1<<20)
	for size := len(chunk); size > 0; {
		if _, err = f.Write(chunk[:size]); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				break
			}
			size /= 2
		}
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return func() { _ = os.Remove(ballast) }, errors.Join(err, f.Close())
}

// unmount gives the file systems back; what is in them is gone.
func (d *disks) unmount() {
	for _, folder := range d.mounts {
		_ = syscall.Unmount(folder, syscall.MNT_DETACH)
	}
}
