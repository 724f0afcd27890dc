//go:build !unix

package freeport

// claimed takes no port where there are no locks that end with their process.
func claimed(int) bool { return true }
