package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
)

// database is where the product keeps its tables.
const database = "pricelake"

// sqlClient asks ClickHouse over HTTP. It knows nothing of the product: what it
// counts is what anyone would count.
type sqlClient struct {
	url     string
	account embed.Credentials
	http    *http.Client
}

func newSQLClient(url string, account embed.Credentials) *sqlClient {
	return &sqlClient{url: url, account: account, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true}}}
}

func (c *sqlClient) close() { c.http.CloseIdleConnections() }

// query runs a statement and returns its answer as text. settings are those of
// the URL.
func (c *sqlClient) query(ctx context.Context, sql string, settings ...string) (string, error) {
	text, err := c.send(ctx, sql, strings.NewReader(""), settings...)
	return strings.TrimSpace(string(text)), err
}

// send runs a statement whose data is in body.
func (c *sqlClient) send(ctx context.Context, sql string, body io.Reader, settings ...string) ([]byte, error) {
	values := url.Values{"database": {database}, "query": {sql}}
	for i := 0; i+1 < len(settings); i += 2 {
		values.Set(settings[i], settings[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/?"+values.Encode(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-ClickHouse-User", c.account.User)
	req.Header.Set("X-ClickHouse-Key", c.account.Password)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse: %w", err)
	}
	text, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking ClickHouse %.200q: %s", sql, strings.TrimSpace(string(text[:min(len(text), 1000)])))
	}
	return text, nil
}

// number is query for one number.
func (c *sqlClient) number(ctx context.Context, sql string, settings ...string) (int64, error) {
	text, err := c.query(ctx, sql, settings...)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("asking ClickHouse %.200q: %w", sql, err)
	}
	return n, nil
}

// Counting costs the server CPU time that whoever is measured does not have: it is
// seldom until the end is near.
const (
	countOften  = 25 * time.Millisecond
	countSeldom = 500 * time.Millisecond
)

// nextCount is how long to wait until rows are counted again, when there are so
// many of n after so long: an eighth of what is left at that rate.
func nextCount(rows, n int64, after time.Duration) time.Duration {
	if rows <= 0 {
		return 4 * countOften
	}
	left := time.Duration(float64(after) * float64(n-rows) / float64(rows))
	return max(countOften, min(left/8, countSeldom))
}

// awaitRows returns how long it took from start until the table had n rows.
// trouble, if it is not nil, is asked in between.
func (c *sqlClient) awaitRows(ctx context.Context, table string, n int64, start time.Time, trouble func() error) (time.Duration, error) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	last, moved := int64(-1), time.Now()
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		rows, err := c.number(ctx, "SELECT count() FROM "+table)
		now := time.Now()
		switch {
		case err != nil:
			return 0, err
		case rows > n:
			return 0, fmt.Errorf("%s has %d rows, more than the %d that there are", table, rows, n)
		case rows == n:
			return now.Sub(start), nil
		case rows != last:
			last, moved = rows, now
		case now.Sub(moved) > time.Minute:
			return 0, fmt.Errorf("%s stays at %d rows of %d", table, rows, n)
		}
		if trouble != nil {
			if err := trouble(); err != nil {
				return 0, err
			}
		}
		wait.Reset(nextCount(rows, n, now.Sub(start)))
	}
}
