package app

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pricelake/pricelake/internal/secure"
)

func TestWhyNothingIsKnown(t *testing.T) {
	f := func(reason, remedy string, err error) {
		t.Helper()
		if n := notKnown(fmt.Errorf("asking for tables: %w", err)); n.Reason != reason || n.Remedy != remedy {
			t.Errorf("%v: %+v, want %q and %q", err, n, reason, remedy)
		}
	}
	refuse := func(kind error) error {
		return secure.Refuse(kind, "the account", "check clickhouse.user", errors.New("code 516"))
	}
	f("refuses the login", "check clickhouse.user", refuse(secure.ErrAuthentication))
	f("does not allow it", "check clickhouse.user", refuse(secure.ErrForbidden))
	f("cannot be talked to, no TLS connection", "check clickhouse.user", refuse(secure.ErrTLS))
	f("gives no answer", "", errors.New("connection refused"))
	if n := notKnown(nil); n != nil {
		t.Errorf("a server that answered: %+v", n)
	}
}
