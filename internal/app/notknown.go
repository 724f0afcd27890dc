package app

import (
	"errors"

	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/sinks/lake"
)

// NotKnown is why a server told nothing.
type NotKnown struct {
	// Reason goes on after the server's name: "refuses the login".
	Reason string `json:"reason"`
	// Remedy is what to do, naming keys of the configuration; empty where only the
	// server's log can say.
	Remedy string `json:"remedy,omitempty"`
}

// notKnown reads why from an error; nil from none.
func notKnown(err error) *NotKnown {
	if err == nil {
		return nil
	}
	n := &NotKnown{Reason: "gives no answer", Remedy: remedyFor(err, "")}
	switch {
	case errors.Is(err, secure.ErrAuthentication):
		n.Reason = "refuses the login"
	case errors.Is(err, secure.ErrForbidden):
		n.Reason = "does not allow it"
	case errors.Is(err, secure.ErrTLS):
		n.Reason = "cannot be talked to, " + secure.ErrTLS.Error()
	case lake.NotThere(err):
		n.Reason, n.Remedy = "has no lake yet", "run `pricelake migrate`"
	}
	return n
}
