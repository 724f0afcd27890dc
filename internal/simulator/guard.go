package simulator

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// onlyLocal refuses requests that a web page or a foreign name brought here: the
// Host must be this machine's, and so must the Origin if there is one.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) || !isLocalOrigin(r.Header.Values("Origin")) {
			http.Error(w, "refused: the simulator answers this machine only, ask for http://127.0.0.1:PORT or http://localhost:PORT", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func isLocalOrigin(origins []string) bool {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || !isLocal(u.Host) {
			return false
		}
	}
	return true
}
