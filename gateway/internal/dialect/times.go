package dialect

import "time"

// openc3Time prints a time as the pages of contract 001 expect it, in the server's local time.
func openc3Time(dst []byte, t time.Time) []byte {
	return t.Local().AppendFormat(dst, `"`+time.DateTime+`"`)
}

// localOffset prints a time in ISO 8601 to the second with the server's offset from UTC.
func localOffset(dst []byte, t time.Time) []byte {
	return t.Local().AppendFormat(dst, `"`+time.RFC3339+`"`)
}
