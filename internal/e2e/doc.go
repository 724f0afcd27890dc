// Package e2e holds the end-to-end tests: the built binary, started as a user
// starts it, judged from outside by its ready line, its HTTP and SQL answers and
// stock clients.
package e2e
