package secured

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/servers"
)

// script runs what `pricelake acl` prints with Apache Kafka's own tool: what is
// then in force is what the declaration says.
func (r *rig) script(t *testing.T) {
	dir := t.TempDir()
	tool := "#!/bin/sh\nexec"
	for _, word := range r.kafka.Tool("org.apache.kafka.tools.AclCommand") {
		tool += " '" + word + "'"
	}
	must(t, os.WriteFile(filepath.Join(dir, "kafka-acls.sh"), []byte(tool+` "$@"`+"\n"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "admin.properties"), nil, 0o600))
	const prefix = "User:by script "
	printed, err := exec.Command(servers.Pricelake(t), "acl", "deduplicator", "--principal-prefix", prefix).Output()
	must(t, err)
	sh := exec.Command("sh", "-e")
	sh.Stdin = strings.NewReader(string(printed))
	sh.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "KAFKA="+r.kafka.Addr(), "ADMIN_CONFIG="+filepath.Join(dir, "admin.properties"))
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nof\n%s", err, out, printed)
	}
	declared, err := app.ACLs(prefix, "deduplicator")
	must(t, err)
	var want []string
	for _, a := range declared {
		want = append(want, fmt.Sprintf("%s %s %s prefixed %v", strings.ToLower(a.Operation), strings.ReplaceAll(a.Resource, "-", "_"), a.Name, a.Prefixed))
	}
	slices.Sort(want)
	await(t, "the ACLs of the script", func() error {
		if got := r.inForce(t, prefix+"deduplicator"); !slices.Equal(got, want) {
			return fmt.Errorf("in force\n%s\ndeclared\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

// inForce asks the broker for the ACLs of a principal.
func (r *rig) inForce(t *testing.T, principal string) []string {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType, req.Principal = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, &principal
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := r.root.Request(t.Context(), req)
	must(t, err)
	var all []string
	for _, res := range resp.(*kmsg.DescribeACLsResponse).Resources {
		for _, a := range res.ACLs {
			operation := strings.ReplaceAll(strings.ToLower(a.Operation.String()), "_", "")
			all = append(all, fmt.Sprintf("%s %s %s prefixed %v", operation, strings.ToLower(res.ResourceType.String()), res.ResourceName, res.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed))
		}
	}
	slices.Sort(all)
	return all
}
