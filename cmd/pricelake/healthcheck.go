package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/config"
)

// healthTimeout is above the two seconds that /readyz gives its checks.
const healthTimeout = 4 * time.Second

func (c *cli) healthcheckCommand() *cobra.Command {
	var adminAddr string
	var live bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the pricelake process of this container whether it is ready",
		Long: `Asks /readyz, or with --live /livez, of the process that listens at the admin
address of the same configuration (PRICELAKE_ADMIN_ADDR), and exits with 0 when
it is ready, else with 1 and what it waits for. It needs no shell and no curl: it
is the health check of the container image.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake healthcheck", "pricelake healthcheck --live --admin-addr 127.0.0.1:8090"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			// No usage error: Docker reserves every status but 0 and 1.
			if err := c.overlay(&cfg); err != nil {
				return err
			}
			if adminAddr == "" {
				adminAddr = cfg.Admin.Addr
			}
			return askHealth(cmd.Context(), adminAddr, live)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether the process serves requests")
	cmd.Flags().StringVar(&adminAddr, "admin-addr", "", "host:port to ask (default: that of the configuration)")
	return cmd
}

// askHealth is nil when the process at the admin address answers 200 in time.
func askHealth(ctx context.Context, adminAddr string, live bool) error {
	addr, err := reachable(adminAddr)
	if err != nil {
		return err
	}
	path := "/readyz"
	if live {
		path = "/livez"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", addr, err)
	}
	// A client of its own: HTTP_PROXY of the environment is for API calls.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for the health of this process: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("reading what %s says: %w", path, err)
	}
	return fmt.Errorf("%s says %s: %s", path, resp.Status, strings.TrimSpace(string(said)))
}

// reachable turns the address that a process listens at into one at which it is
// reached from the same machine.
func reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" || port == "" {
		return "", fmt.Errorf("admin address %q: write host:port with a port above 0, as the process itself was told", listen)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && addr.IsUnspecified() && addr.Is4():
		host = "127.0.0.1"
	case err == nil && addr.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
