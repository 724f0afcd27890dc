// Package bench measures the product on the machine it runs on: `pricelake
// bench`. The servers it needs run in processes of their own, so that what is
// measured of a role is the role's alone; what arrives is counted by a plain
// HTTP client of ClickHouse, which shares no code with the product.
package bench
