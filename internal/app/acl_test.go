package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// TestACLsAreDocumented keeps the table of docs/security.md the one declaration.
func TestACLsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := aclTable(); !strings.Contains(string(text), want) {
		t.Errorf("docs/security.md lacks this table:\n%s", want)
	}
}

func aclTable() string {
	var b strings.Builder
	b.WriteString("| account | Read on topics | Write on topics | others |\n|---|---|---|---|\n")
	line := func(name string, r rights) {
		list := func(topics []string) string {
			if slices.Equal(topics, TopicNames()) {
				return "all"
			}
			return code(topics...)
		}
		var others []string
		if r.joins != "" {
			others = append(others, "Read on the group "+code(r.joins))
		}
		if r.elects != "" {
			others = append(others, "Read on the group "+code(r.elects))
		}
		if id := r.transactional; strings.HasSuffix(id, "-") {
			others = append(others, "Write on transactional ids that begin with "+code(id))
		} else if id != "" {
			others = append(others, "Write on the transactional id "+code(id))
		}
		if r.manages != nil {
			others = append(others, "Create, Describe and AlterConfigs on all topics")
		}
		if r.describes != nil {
			what := "the topics of the groups"
			if slices.Equal(r.describes, TopicNames()) {
				what = "all topics"
			}
			others = append(others, "DescribeConfigs on "+what)
		}
		if r.looksAt != nil {
			others = append(others, "Describe on the groups of all roles")
		}
		if r.brokers {
			others = append(others, "DescribeConfigs on the cluster")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, list(r.reads), list(r.writes), strings.Join(others, "; "))
	}
	for _, r := range roles() {
		line(r.name, r.rights)
	}
	for _, t := range tools() {
		line(t.name, t.rights)
	}
	return b.String()
}

func code(names ...string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

// TestRightsCoverTheGroups: who reads a topic as a group may read it.
func TestRightsCoverTheGroups(t *testing.T) {
	for _, g := range watchedGroups() {
		i := slices.IndexFunc(roles(), func(r role) bool { return r.rights.joins == g.Group })
		if i < 0 {
			t.Errorf("no role joins %s", g.Group)
			continue
		}
		for _, topic := range g.Topics {
			if !slices.Contains(roles()[i].rights.reads, topic) {
				t.Errorf("%s may not read %s", roles()[i].name, topic)
			}
		}
	}
	for _, r := range roles() {
		if !slices.Contains(r.rights.reads, schemas.TopicRoles) {
			t.Errorf("%s cannot see that it is paused", r.name)
		}
	}
}
