package embed_test

import (
	"testing"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestHello(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	t.Log(ch.HTTPURL(), ch.Owner(), ch.Pid())
	db := embedtest.Database(t)
	t.Log(db)
}
