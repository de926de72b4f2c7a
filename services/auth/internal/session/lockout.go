package session

import (
	"fmt"
	"math"
	"time"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// The documents' rule: three failures within five minutes lock an account for thirty.
const (
	maxFailures   = 3
	failureWindow = 5 * time.Minute
	lockDuration  = 30 * time.Minute
)

// account is what somebody tries to sign in to. It need not exist.
type account struct{ tenant, username string }

func (a account) String() string { return a.tenant + ":" + a.username }

// attempts are the failures of an account that still matter.
type attempts struct {
	Failures    []time.Time `db:"failures"`
	LockedUntil *time.Time  `db:"locked_until"`
}

func (a attempts) locked(now time.Time) bool {
	return a.LockedUntil != nil && now.Before(*a.LockedUntil)
}

// refusal says how long a locked account stays locked, rounded up: "0 minutes" would be an invitation.
func (a attempts) refusal(who account, now time.Time) error {
	minutes := int(math.Ceil(a.LockedUntil.Sub(now).Minutes()))
	return fault.Exhausted("ACCOUNT_LOCKED", "%s is locked after too many wrong logins: try again in %d min", who, minutes).
		With("minutes", fmt.Sprint(minutes))
}

// fail adds a failure and reports whether it locked the account. A login that succeeds in between takes none away.
func (a attempts) fail(now time.Time) (after attempts, lockedNow bool) {
	for _, failed := range a.Failures {
		if now.Sub(failed) < failureWindow {
			after.Failures = append(after.Failures, failed)
		}
	}
	after.Failures = append(after.Failures, now)
	if len(after.Failures) < maxFailures {
		return after, false
	}
	until := now.Add(lockDuration)
	return attempts{Failures: []time.Time{}, LockedUntil: &until}, true
}

// expires is when nothing of the attempts matters any more.
func (a attempts) expires(now time.Time) time.Time {
	if a.LockedUntil != nil {
		return *a.LockedUntil
	}
	return now.Add(failureWindow)
}
