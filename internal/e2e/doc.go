// Package e2e holds the end-to-end tests: the built binary, started as a user
// starts it, judged from outside by its ready line, its HTTP and SQL answers and
// stock clients.
//
// A test runs on two kinds of site:
//
//	everywhere(t, func(t *testing.T, s *site) {
//		u := s.start("--demo")            // or "--catalog", FILE
//		eventually(t, …, func() error { return atLeast(u, 100) })
//		u.Stop()                          // SIGTERM, servers too; u.Kill() is kill -9 of all but Kafka
//		u = s.start("--demo")             // what it kept is there
//		verified(u)                       // topics against tables
//		u.exactlyOnce()
//	})
//
// "up" is one process of `pricelake up`. "servers" is Apache Kafka, Apicurio
// Registry and ClickHouse as processes of their own (package servers; they are in
// s.real and can be killed, stopped and started one by one), the simulator, and a
// process for each role. Under the race detector the roles have it too, and a
// race in any of them fails the test.
//
// serverSite(t) is the second alone, for tests that start and end roles
// themselves: s.startRole(role, instance) runs one more process of a role and
// returns it with its admin address. embeddedSite(t, dir) is the first alone.
// u.tool runs a command of pricelake against the site, u.query asks ClickHouse
// over plain HTTP, u.Ready holds every address and account, u.Admins the admin
// addresses, u.metric sums a metric over all processes.
//
// Without real servers these tests skip and say how to get them; where CI=true
// they fail.
package e2e
