package lake

import (
	"os"
	"testing"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestMain(m *testing.M) { os.Exit(embedtest.Main(m)) }
