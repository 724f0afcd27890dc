package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
)

func (c *cli) aclCommand() *cobra.Command {
	var prefix, format string
	names, purposes := app.ACLNames()
	var tools strings.Builder
	for _, n := range names {
		if p := purposes[n]; p != "" {
			fmt.Fprintf(&tools, "  %-13s %s\n", n, p)
		}
	}
	cmd := &cobra.Command{
		Use:   "acl [NAME…]",
		Short: "Print the Kafka ACLs that each role and each class of tools needs",
		Long: `Prints the ACLs that roles and tools need on a Kafka with an authorizer, and no
more than they need. NAME is a role, or one of the classes of tools that people
give an account:

` + tools.String() + `
The principal of each is the prefix and the name. The format kafka-acls is a
script for kafka-acls.sh of Apache Kafka: set KAFKA to host:port, and name the
file with the administrator's login in ADMIN_CONFIG.`,
		Example: examples("pricelake acl | KAFKA=kafka:9093 ADMIN_CONFIG=admin.properties sh",
			"pricelake acl poller --principal-prefix User:pricelake-", "pricelake acl --format table"),
		ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			acls, err := app.ACLs(prefix, args...)
			if err != nil {
				return usageError{err}
			}
			switch {
			case format == "json" || format == "" && c.flags.json:
				for _, a := range acls {
					if err := c.out.value(a); err != nil {
						return err
					}
				}
				return nil
			case format == "table":
				c.out.table([]string{"principal", "operation", "resource", "name"}, aclRows(acls))
				return nil
			case format == "kafka-acls" || format == "":
				for _, line := range aclScript(acls) {
					fmt.Fprintln(c.out.w, line)
				}
				return nil
			}
			return usageError{fmt.Errorf("--format %q: write kafka-acls, json or table", format)}
		},
	}
	cmd.Flags().StringVar(&prefix, "principal-prefix", "User:", "what the principals begin with")
	cmd.Flags().StringVar(&format, "format", "", "kafka-acls, json or table (default: kafka-acls, json with --json)")
	return cmd
}

func aclRows(acls []app.ACL) [][]string {
	rows := make([][]string, len(acls))
	for i, a := range acls {
		name := a.Name
		if a.Prefixed {
			name += "*"
		}
		rows[i] = []string{a.Principal, a.Operation, a.Resource, name}
	}
	return rows
}

// aclScript is a line for each principal, operation and kind of resource.
func aclScript(acls []app.ACL) []string {
	lines := []string{`: "${KAFKA:?set it to host:port of a broker}" "${ADMIN_CONFIG:?set it to the file with the login of an administrator}"`}
	same := func(a, b app.ACL) bool {
		return a.Principal == b.Principal && a.Operation == b.Operation && a.Resource == b.Resource && a.Prefixed == b.Prefixed
	}
	for i, a := range acls {
		if i > 0 && same(a, acls[i-1]) {
			continue
		}
		if i == 0 || a.Role != acls[i-1].Role {
			lines = append(lines, "", "# "+a.Role)
		}
		line := `kafka-acls.sh --bootstrap-server "$KAFKA" --command-config "$ADMIN_CONFIG" --add --allow-principal ` + shellQuote(a.Principal) + " --operation " + a.Operation
		if a.Prefixed {
			line += " --resource-pattern-type prefixed"
		}
		for _, b := range acls[i:] {
			if !same(a, b) {
				break
			}
			line += " --" + b.Resource
			if b.Resource != "cluster" {
				line += " " + b.Name
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// shellQuote makes one word of it for any shell: a principal of a certificate
// has spaces.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
