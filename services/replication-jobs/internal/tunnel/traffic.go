package tunnel

import "sync/atomic"

// Traffic counts what the serving node of a tunnel has carried.
type Traffic struct{ connections, read, written, sent, received atomic.Int64 }

// Figures are the counts at a moment.
type Figures struct {
	// Connections are open.
	Connections int64
	// Read and Written are bytes that came from and went to the source.
	Read, Written int64
	// Sent and Received are bytes of the messages, compressed and sealed, that went to and came from the other node.
	Sent, Received int64
}

// Figures returns the counts.
func (t *Traffic) Figures() Figures {
	return Figures{
		Connections: t.connections.Load(), Read: t.read.Load(), Written: t.written.Load(), Sent: t.sent.Load(), Received: t.received.Load(),
	}
}
