// Package ops is what every role needs to be operated: logs, metrics, health
// and the admin address that shows them, and the supervision of long-running
// parts. It knows no stage.
package ops
