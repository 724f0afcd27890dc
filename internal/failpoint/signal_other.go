//go:build !unix

package failpoint

import "errors"

func signal(Action) error { return errors.New("this system has no signals: use error or delay") }
