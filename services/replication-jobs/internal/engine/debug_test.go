package engine_test

import (
	"fmt"
	"testing"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func (p *pair) dumpDiff(t *testing.T) {
	sum := func(s *mysqltest.Server, a, b int) string {
		c := s.Connect(t)
		defer c.Close()
		c.Begin()
		if _, err := c.Execute(fmt.Sprintf("DELETE FROM app.orders WHERE id NOT BETWEEN %d AND %d", a, b)); err != nil {
			panic(err)
		}
		r, err := c.Execute("CHECKSUM TABLE app.orders")
		if err != nil {
			panic(err)
		}
		v, _ := r.GetString(0, 1)
		c.Rollback()
		return v
	}
	a, b := 0, 50000
	for a < b {
		m := (a + b) / 2
		if sum(p.source, a, m) != sum(p.target, a, m) {
			b = m
		} else {
			a = m + 1
		}
	}
	for _, s := range []*mysqltest.Server{p.source, p.target} {
		r, err := s.Connect(t).Execute(fmt.Sprintf("SELECT id, sku, state+0, amount, amount IS NULL, HEX(note), note IS NULL, CAST(at AS DATETIME(6)), total, total IS NULL FROM app.orders WHERE id=%d", a))
		if err != nil {
			panic(err)
		}
		for i := range r.RowNumber() {
			for j := range 10 {
				v, _ := r.GetString(i, j)
				fmt.Print(v, " | ")
			}
			fmt.Println()
		}
	}
}
