package freeport

import (
	"net"
	"testing"
)

// A port is free, can be taken, is not found again while it is taken, and is none
// that the system hands out.
func TestFoundPortsCanBeTaken(t *testing.T) {
	taken := map[string]bool{}
	for range 200 {
		addr, err := Addr()
		if err != nil {
			t.Fatal(err)
		}
		if taken[addr] {
			t.Fatalf("%s was found while somebody listens there", addr)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		taken[addr] = true
		if port := l.Addr().(*net.TCPAddr).Port; port < lowest || port >= beyond || port >= 32768 {
			t.Errorf("port %d, want one of %d to %d", port, lowest, beyond-1)
		}
	}
}

// A port that was found is nobody else's while its server is away.
func TestFoundPortIsNotFoundAgain(t *testing.T) {
	found := map[int]bool{}
	for range 500 {
		port, err := Find()
		if err != nil {
			t.Fatal(err)
		}
		if found[port] {
			t.Fatalf("%d was found twice", port)
		}
		found[port] = true
	}
}
