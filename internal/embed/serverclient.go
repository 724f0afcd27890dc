package embed

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// serverClient sends our own few statements to the engine.
type serverClient struct{ http *http.Client }

func newServerClient() *serverClient {
	return &serverClient{http: &http.Client{
		Timeout: 10 * time.Second,
		// No kept connection: an open one makes the engine wait when it ends.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

// query runs one statement and returns the answer without its last line break.
func (c *serverClient) query(ctx context.Context, addr string, as Credentials, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-ClickHouse-User", as.User)
	req.Header.Set("X-ClickHouse-Key", as.Password)
	resp, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking ClickHouse: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return strings.TrimSuffix(string(body), "\n"), nil
}

func (c *serverClient) close() { c.http.CloseIdleConnections() }
