package zone

import "golang.org/x/sync/errgroup"

// partSize is how many records or sets are worth a goroutine.
const partSize = 1000

// inParts has do work on consecutive parts of n things, from one up to another, on all CPUs: while the service works on a large change, nobody else
// can.
func inParts(n int, do func(from, to int) error) error {
	if n <= partSize {
		return do(0, n)
	}
	var group errgroup.Group
	for from := 0; from < n; from += partSize {
		group.Go(func() error { return do(from, min(from+partSize, n)) })
	}
	return group.Wait()
}
