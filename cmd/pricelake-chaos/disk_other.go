//go:build unix && !linux

package main

import "errors"

// disks are small file systems in memory, each for one server.
type disks struct{}

var errNoDisks = errors.New("--disk works on Linux only")

func mountDisks(string, []string, int) (*disks, error) { return &disks{}, errNoDisks }

func (*disks) fill(string) (free func(), err error) { return nil, errNoDisks }

func (*disks) unmount() {}
