// Package binlog reads a source's binary log as a stream of transactions.
package binlog

import (
	"sync"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Transaction is a transaction of the source, or a part of one that is too large to be held as a whole.
type Transaction struct {
	// GTID is the transaction's own, empty on a server without GTIDs.
	GTID string
	// Position is where the part ends in the source's files; its GTIDSet is empty.
	Position mysql.Position
	// Timestamp is when the source committed, to the second.
	Timestamp time.Time
	// ServerID is that of the server that executed the transaction first, Thread its session there; 0 where the log does not tell.
	ServerID, Thread uint32
	// Returned is set for a transaction that came from a server of Config.LeaveOut: it has neither Changes nor a Definition.
	Returned bool
	// Changes are the changes of selected tables in order; a transaction may have none.
	Changes []*Rows
	// Definition is set instead of Changes when the part is a DDL statement.
	Definition *Definition
	// Bytes is the size of the part in the log.
	Bytes int64
	// First and Last are both set unless the transaction comes in parts.
	First, Last bool

	release func(int64)
}

// Release hands the memory of the transaction back to the stream's limit. The receiver calls it when it has read the changes.
func (t *Transaction) Release() {
	if t.release != nil {
		t.release(t.Bytes)
		t.release = nil
	}
}

// Definition is a DDL statement with what its session had set.
type Definition struct {
	ddl.Statement
	// Position is where the statement ends in the source's files.
	Position mysql.Position
	// Session holds the variables that its execution depends on.
	Session Session
	// Problem is set where the statement could not be read; Text is then all that is known of it.
	Problem error
	// ErrorCode is the error with which the statement ended at the source, 0 as a rule.
	ErrorCode uint16
}

// budget counts bytes in memory against a limit.
type budget struct {
	mu    sync.Mutex
	free  *sync.Cond
	limit int64
	used  int64
	done  bool
}

func newBudget(limit int64) *budget {
	b := &budget{limit: limit}
	b.free = sync.NewCond(&b.mu)
	return b
}

// acquire waits until n bytes fit; what is larger than the limit waits until nothing else is held. It reports false after close.
func (b *budget) acquire(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.done && b.used > 0 && b.used+n > b.limit {
		b.free.Wait()
	}
	b.used += n
	return !b.done
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.free.Signal()
}

func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.free.Broadcast()
}
