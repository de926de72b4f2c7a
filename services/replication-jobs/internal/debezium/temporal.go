package debezium

import (
	"strconv"
	"strings"
	"time"
)

const (
	secondsPerDay  = 24 * 60 * 60
	micros         = 1_000_000
	fractionDigits = 6
	dateLength     = len("2006-01-02")
	clockLength    = len("15:04:05")
)

// appendTime writes dates and times. One that is on no calendar, such as 0000-00-00, is null, or the beginning of 1970 in a column that
// is NOT NULL.
func (c *Column) appendTime(dst []byte, s string) ([]byte, error) {
	switch c.kind {
	case kindTime:
		us, ok := clock(s)
		if !ok {
			return dst, errValue
		}
		return strconv.AppendInt(dst, us, 10), nil
	case kindDate:
		days, ok := date(s)
		if !ok {
			return c.appendNoTime(dst, "0"), nil
		}
		return strconv.AppendInt(dst, days, 10), nil
	case kindZonedTimestamp:
		return c.appendZoned(dst, s)
	}
	if len(s) < dateLength+1+clockLength {
		return dst, errValue
	}
	days, onCalendar := date(s[:dateLength])
	us, ok := clock(s[dateLength+1:])
	switch {
	case !ok:
		return dst, errValue
	case !onCalendar:
		return c.appendNoTime(dst, "0"), nil
	}
	us += days * secondsPerDay * micros
	if c.kind == kindTimestamp {
		us /= 1000 // the fraction has at most three digits
	}
	return strconv.AppendInt(dst, us, 10), nil
}

// appendZoned writes a TIMESTAMP, which comes in UTC, with as many digits of a second as the column has.
func (c *Column) appendZoned(dst []byte, s string) ([]byte, error) {
	if len(s) < dateLength+1+clockLength {
		return dst, errValue
	}
	if _, ok := date(s[:dateLength]); !ok {
		return c.appendNoTime(dst, `"1970-01-01T00:00:00Z"`), nil
	}
	dst = append(dst, '"')
	dst = append(dst, s[:dateLength]...)
	dst = append(dst, 'T')
	dst = append(dst, s[dateLength+1:]...)
	return append(dst, 'Z', '"'), nil
}

func (c *Column) appendNoTime(dst []byte, instead string) []byte {
	if c.optional {
		return append(dst, "null"...)
	}
	return append(dst, instead...)
}

// date returns the days since 1970, and false for what is on no calendar.
func date(s string) (int64, bool) {
	if len(s) != dateLength || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, ok1 := smallInt(s[:4])
	month, ok2 := smallInt(s[5:7])
	day, ok3 := smallInt(s[8:])
	if !ok1 || !ok2 || !ok3 || year == 0 || month == 0 || day == 0 {
		return 0, false
	}
	t := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if t.Day() != int(day) || int64(t.Month()) != month {
		return 0, false
	}
	return t.Unix() / secondsPerDay, true // whole days, also before 1970
}

// clock returns the microseconds of [-]hours:minutes:seconds[.fraction].
func clock(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	hours, rest, _ := strings.Cut(whole, ":")
	minutes, seconds, _ := strings.Cut(rest, ":") // one too few is empty, and no number
	if len(fraction) > fractionDigits {
		return 0, false
	}
	var total int64
	for _, part := range [...]string{hours, minutes, seconds} {
		n, ok := smallInt(part)
		if !ok {
			return 0, false
		}
		total = total*60 + n
	}
	us, ok := smallInt(fraction + "000000"[len(fraction):])
	if !ok {
		return 0, false
	}
	total = total*micros + us
	if len(digits) < len(s) {
		total = -total
	}
	return total, true
}
