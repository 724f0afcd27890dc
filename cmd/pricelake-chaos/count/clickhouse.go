package count

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ClickHouse asks the lake over HTTP.
type ClickHouse struct {
	URL            string // http://host:port
	User, Password string
	Database       string
	Client         *http.Client
}

// maxLine bounds a row of an answer.
const maxLine = 1 << 20

// Query runs a statement and calls each for every row, split into its columns as
// TabSeparated shows them.
func (c *ClickHouse) Query(ctx context.Context, statement string, each func([]string) error) error {
	return c.send(ctx, statement+" FORMAT TabSeparated", each)
}

// Exec runs a statement without an answer.
func (c *ClickHouse) Exec(ctx context.Context, statement string) error {
	return c.send(ctx, statement, func([]string) error { return nil })
}

func (c *ClickHouse) send(ctx context.Context, statement string, each func([]string) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/?wait_end_of_query=1&database="+c.Database, strings.NewReader(statement))
	if err != nil {
		return fmt.Errorf("asking ClickHouse: %w", err)
	}
	req.Header.Set("X-ClickHouse-User", c.User)
	req.Header.Set("X-ClickHouse-Key", c.Password)
	resp, err := c.Client.Do(req)
	if err != nil {
		return fmt.Errorf("asking ClickHouse: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return fmt.Errorf("asking ClickHouse: status %d: %s", resp.StatusCode, text)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		if err := each(strings.Split(in.Text(), "\t")); err != nil {
			return err
		}
	}
	return in.Err()
}
