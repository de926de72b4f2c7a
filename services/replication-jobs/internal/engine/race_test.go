//go:build race

package engine_test

// underRace is set when the race detector takes memory of its own.
const underRace = true
