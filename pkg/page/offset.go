package page

import "github.com/opsdeck/opsdeck/pkg/fault"

// Offset turns the number and size of a page (contract 002, conventions.paging) into the rows to skip and to return. A zero is a
// parameter that was not given: the first page, the default size. A page past the end is empty, not an error. Errors: invalid
// page or page_size, when one is negative or the size above the limit.
func (l Limits) Offset(page, size int32) (offset int64, limit int, err error) {
	switch {
	case page < 0:
		return 0, 0, fault.Invalid("page", "must be at least 1, got %d", page).Chinese("必须不小于 1，收到 %d", page)
	case size < 0 || int(size) > l.Max:
		return 0, 0, fault.Invalid("page_size", "must be from 1 to %d, got %d", l.Max, size).Chinese("必须在 1 到 %d 之间，收到 %d", l.Max, size)
	}
	limit = l.Size(size)
	return int64(max(page, 1)-1) * int64(limit), limit, nil
}
