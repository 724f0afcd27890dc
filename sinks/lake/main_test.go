package lake

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withEngine{m}) }

// withEngine ends the engine of the tests before anyone looks for what they left
// running.
type withEngine struct{ *testing.M }

func (m withEngine) Run() int { return embedtest.Main(m.M) }
