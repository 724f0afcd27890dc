//go:build !noembed && unix

package embed

// Available reports whether this binary holds the embedded stack.
func Available() bool { return true }
