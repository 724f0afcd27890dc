// Package freeport finds loopback ports for servers that are started in a moment,
// and that may be away for a while and come back to their port.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below those that systems give to anybody who asks for any
// port (from 32768 on Linux, from 49152 by RFC 6335): nobody who connects or
// listens elsewhere gets one while its server is away. Below 20000 many programs
// have a port of their own.
const (
	lowest = 20_000
	beyond = 30_000
)

// tries is enough on a machine that has a free port at all.
const tries = 1000

// Find returns a port that nobody listens on at 127.0.0.1. Nobody else finds it as
// long as this process lives.
func Find() (port int, err error) {
	for range tries {
		port = lowest + rand.IntN(beyond-lowest)
		var l net.Listener
		if l, err = net.Listen("tcp", loopback(port)); err != nil {
			continue
		}
		if err = l.Close(); err != nil || claimed(port) {
			return port, err
		}
		err = errors.New("others have found all that were tried")
	}
	return 0, fmt.Errorf("finding a free port: %w", err)
}

// Addr returns host:port of a port that Find found.
func Addr() (string, error) {
	port, err := Find()
	if err != nil {
		return "", err
	}
	return loopback(port), nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
