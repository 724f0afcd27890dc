//go:build !noembed && unix && !linux

package embed

import "errors"

// confine says that this system has no means for it.
func confine(string, bool) error {
	return errors.New("only Linux can confine the engine")
}
