package ops

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// LoopbackOnly refuses, with 403, what a web page in the user's browser could
// send to a service on this machine: a Host that is no name of loopback (a
// foreign name rebound to 127.0.0.1), and an Origin other than the service
// itself (a form or script of another page). Names, with or without a port, are
// others by which it may be called, such as that of its container.
func LoopbackOnly(next http.Handler, names ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if !loopbackHost(host) && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(hostOf(n), host) }) {
			http.Error(w, "this service answers to "+strings.Join(append([]string{"127.0.0.1", "localhost"}, names...), ", ")+" only",
				http.StatusForbidden)
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
				http.Error(w, "this service takes no requests from web pages of another origin", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
