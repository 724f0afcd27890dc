package kafka

// Gate says whether a loop may take new work. It may be used in parallel.
//
// A loop behind a closed gate stays a member of its group with its partitions:
// it finishes what it has in hand, takes nothing new, and goes on at once when
// the gate opens.
type Gate interface {
	// Paused reports whether nothing new may be taken, and returns a channel
	// that closes when that may have changed.
	Paused() (paused bool, changed <-chan struct{})
}

// closed asks a gate; none is always open.
func closed(g Gate) (bool, <-chan struct{}) {
	if g == nil {
		return false, nil
	}
	return g.Paused()
}
