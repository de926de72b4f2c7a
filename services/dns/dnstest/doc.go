// Package dnstest runs private BIND and PowerDNS servers from the machine's own binaries, configured as docs/dns.md shows, for tests that
// need real ones.
package dnstest
