package secured

import (
	"testing"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/kafka"
)

// TestSecured is one test because its parts share a broker.
func TestSecured(t *testing.T) {
	r := newRig(t)
	acls, err := app.ACLs("User:")
	must(t, err)
	r.allow(acls)
	profile := kafka.Production()
	profile.Partitions, profile.LowRatePartitions, profile.ReplicationFactor = 2, 2, 1
	_, err = kafka.ApplyTopics(t.Context(), r.config("setup", login), kafka.Topics(profile))
	must(t, err)
	_, err = r.admin.CreateTopic(t.Context(), 1, 1, nil, elsewhere)
	must(t, err)
	t.Run("pipeline", func(t *testing.T) {
		p := r.newPipeline(t)
		defer p.stop()
		p.run()
		p.tools()
	})
	t.Run("script", func(t *testing.T) { r.script(t) })
	t.Run("logins", func(t *testing.T) { r.logins(t) })
	t.Run("renewal", func(t *testing.T) { r.renewal(t) })
	t.Run("matrix", func(t *testing.T) { r.matrix(t, acls) })
}
