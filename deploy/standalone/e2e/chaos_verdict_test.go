package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// verdict returns nil when the target has, row by row, what the mapping makes of the source. Nobody may write to the source meanwhile.
func verdict(ctx context.Context, p *pair) error {
	source, err := p.source.Connect(ctx, chaosSchema)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // only asked
	target, err := p.target.Connect(ctx, chaosSchema)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }() // only asked
	defer context.AfterFunc(ctx, func() { _ = errors.Join(source.Conn.Conn.Close(), target.Conn.Conn.Close()) })()
	const tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = '" + chaosSchema + "' AND table_type = 'BASE TABLE' ORDER BY 1"
	ours, err := column(source, tables)
	if err != nil {
		return err
	}
	theirs, err := column(target, tables)
	if err != nil {
		return err
	}
	mapped := map[string]chaosTable{}
	for _, table := range chaosTables() {
		mapped[table.name] = table
	}
	var arrived []string
	var differences []error
	for _, name := range ours {
		table, ok := mapped[name]
		if !ok {
			table = chaosTable{name: name}
		}
		arrived = append(arrived, table.target())
		if !slices.Contains(theirs, table.target()) {
			continue // told below
		}
		difference, err := table.compare(source, target)
		if err != nil {
			return err
		}
		differences = append(differences, difference)
	}
	slices.Sort(arrived)
	if !slices.Equal(arrived, theirs) {
		differences = append(differences, fmt.Errorf("the target should have the tables %q and has %q", arrived, theirs))
	}
	return errors.Join(differences...)
}

func (c chaosTable) target() string {
	if c.rename != "" {
		return c.rename
	}
	return c.name
}

// compare returns how the table differs. What is not mapped must have the same checksum; the texts of the rows must be the same in any case.
func (c chaosTable) compare(source, target *client.Conn) (difference, err error) {
	columns := c.columns
	if columns == nil {
		const names = "SELECT column_name FROM information_schema.columns WHERE table_schema = '" + chaosSchema + "' AND table_name = '%s' ORDER BY ordinal_position"
		if columns, err = column(source, fmt.Sprintf(names, c.name)); err != nil {
			return nil, err
		}
		theirs, err := column(target, fmt.Sprintf(names, c.target()))
		if err != nil {
			return nil, err
		}
		if !slices.Equal(columns, theirs) {
			return fmt.Errorf("%s has the columns %q at the source, %q at the target", c.name, columns, theirs), nil
		}
	}
	parts := make([]string, len(columns))
	for i, name := range columns {
		parts[i] = "IFNULL(HEX(CONCAT(`" + name + "`, '')), 'NULL')"
	}
	rows := "SELECT CONCAT_WS(',', " + strings.Join(parts, ", ") + ") FROM "
	where := ""
	if c.where != "" {
		where = " WHERE " + c.where
	}
	ours, err := column(source, rows+c.name+where)
	if err != nil {
		return nil, err
	}
	theirs, err := column(target, rows+c.target())
	if err != nil {
		return nil, err
	}
	if difference := multisets(c.name, ours, theirs); difference != nil || c.columns != nil || c.where != "" || strings.Contains(c.keys, "VIRTUAL") {
		return difference, nil // the server's checksum of a virtual column is not that of its values
	}
	return c.compareChecksums(source, target)
}

func (c chaosTable) compareChecksums(source, target *client.Conn) (difference, err error) {
	ours, err := column(source, "CHECKSUM TABLE "+c.name)
	if err != nil {
		return nil, err
	}
	theirs, err := column(target, "CHECKSUM TABLE "+c.target())
	if err != nil {
		return nil, err
	}
	if !slices.Equal(ours, theirs) {
		return fmt.Errorf("the checksum of %s is %s at the source, %s at the target", c.name, ours, theirs), nil
	}
	return nil, nil
}

// multisets tells which rows one end has more often than the other.
func multisets(name string, ours, theirs []string) error {
	times := map[string]int{}
	for _, row := range ours {
		times[row]++
	}
	for _, row := range theirs {
		times[row]--
	}
	var lost, surplus []string
	for row, n := range times {
		switch {
		case n > 0:
			lost = append(lost, row)
		case n < 0:
			surplus = append(surplus, row)
		}
	}
	if len(lost)+len(surplus) == 0 {
		return nil
	}
	return fmt.Errorf("%s: the target lacks %d rows, such as %.90q, and has %d too many, such as %.90q", name,
		len(lost), some(lost), len(surplus), some(surplus))
}

func some(rows []string) []string {
	slices.Sort(rows)
	return rows[:min(2, len(rows))]
}

// column returns the last column of a result as texts.
func column(conn *client.Conn, query string) ([]string, error) {
	var values []string
	var result mysql.Result
	err := conn.ExecuteSelectStreaming(query, &result, func(row []mysql.FieldValue) error {
		values = append(values, text(row[len(row)-1]))
		return nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("%.200s: %w", query, err)
	}
	return values, nil
}

// text is a value as the server writes it. It is a copy: the driver uses its buffer again.
func text(v mysql.FieldValue) string {
	if bytes, ok := v.Value().([]byte); ok {
		return string(bytes)
	}
	return fmt.Sprint(v.Value())
}
