package embed

import (
	"net"
	"net/http"
	"net/url"
)

// LoopbackOnly refuses, with 403, what a web page in the user's browser could
// send to a service on this machine: a Host that is not a name of loopback (a
// foreign name rebound to 127.0.0.1) and an Origin other than the service.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			http.Error(w, "this service answers to 127.0.0.1 and localhost only", http.StatusForbidden)
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			u, err := url.Parse(origin)
			if err != nil || u.Host != r.Host {
				http.Error(w, "this service takes no requests from web pages of another origin", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(hostport string) bool {
	if _, _, err := net.SplitHostPort(hostport); err != nil {
		hostport += ":80"
	}
	return isLoopback(hostport)
}
