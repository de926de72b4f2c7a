package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// writer is a shop that stays open: it orders, pays, restocks, renames and cancels while the job runs.
type writer struct {
	committed atomic.Int64 // transactions
}

// pace is how often a transaction is begun; a shop that saturates the disk would measure the disk.
const pace = 4 * time.Millisecond

// run writes until ctx ends. The order of its choices depends on seed alone.
func (w *writer) run(ctx context.Context, source *mariadb.Server, seed uint64) error {
	conn, err := source.Connect(ctx, "shop")
	if err != nil {
		return fmt.Errorf("connect the writer: %w", err)
	}
	defer func() { _ = conn.Close() }()         // what matters was committed
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a demo wants the same choices again, not secret ones
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := transaction(conn, random, n); err != nil {
			return fmt.Errorf("write to the shop: %w", err)
		}
		w.committed.Add(1)
	}
}

func transaction(conn *client.Conn, random *rand.Rand, n int64) error {
	if err := conn.Begin(); err != nil {
		return err
	}
	for _, s := range change(random, n) {
		if _, err := conn.Execute(s.text, s.args...); err != nil {
			return errors.Join(err, conn.Rollback())
		}
	}
	return conn.Commit()
}

type statement struct {
	text string
	args []any
}

// change picks one of the things that happen in a shop.
func change(random *rand.Rand, n int64) []statement {
	customer, order := 1+random.IntN(100_000), 1+random.IntN(120_000)
	sku := fmt.Sprintf("SKU%09d", 1+random.IntN(20_000))
	switch random.IntN(10) {
	case 0:
		return []statement{{"DELETE FROM shop.visits WHERE hits BETWEEN ? AND ? + 2", []any{order, order}}}
	case 1:
		return []statement{{"UPDATE shop.customers SET email = ?, name = '李娜', level = 'gold' WHERE id = ?", []any{fmt.Sprintf("new%d@example.com", n), customer}}}
	case 2:
		return []statement{{"INSERT INTO shop.events_without_key VALUES (NOW(), 'click', ?)", []any{n}}, {"DELETE FROM shop.events_without_key WHERE payload = ? LIMIT 1", []any{fmt.Sprintf("p%d", order)}}}
	case 3:
		return []statement{{"UPDATE shop.payments SET amount = amount + 0.000001, receipt = NULL WHERE id = UNHEX(MD5(?))", []any{order}}}
	case 4:
		return []statement{{"REPLACE INTO shop.visits VALUES (?, ?, '/demo', b'101', ?)", []any{"2026-01-01", fmt.Sprintf("%02d:00:00.%03d", n%24, n%1000), n}}}
	case 5:
		return []statement{{"UPDATE shop.stores SET place = POINT(?, 1), mask = mask ^ ? WHERE code = ?", []any{customer, n, fmt.Sprintf("ST-%d", 1+order%1000)}}}
	}
	id := 10_000_000 + n
	return []statement{
		{"INSERT INTO shop.orders (id, customer_id, status, total, note, ordered_at) VALUES (?, ?, 'new', 10.5, 'by the demo', NOW(6))", []any{id, customer}},
		{"INSERT INTO shop.order_items VALUES (?, 1, ?, 1, 5.25), (?, 2, ?, 1, 5.25)", []any{id, sku, id, sku}},
		{"UPDATE shop.products SET stock = stock - 2, details = JSON_SET(details, '$.n', ?) WHERE sku = ?", []any{n, sku}},
		{"UPDATE shop.orders SET status = 'paid' WHERE id = ?", []any{id}},
		{"INSERT INTO shop.payments (id, order_id, amount, fee) VALUES (UNHEX(MD5(?)), ?, 10.5, NULL)", []any{fmt.Sprintf("demo%d", n), id}},
	}
}
