// Package e2e tests opsdeck as a whole: the standalone process over HTTP, with real database servers on both ends of its jobs, and
// with its processes and those servers killed at any moment.
package e2e
