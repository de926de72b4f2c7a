package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// lockPatience is how long one attempt to get the lock takes, in seconds.
const lockPatience = 30

// Exclusively runs do while the session holds the job's lock on the target server; waits is called if that takes long. A server goes on with a definition after its
// client has died; the dead run's session, and with it the lock, ends when the statement does. Without waiting for that, the state of
// the tables would say nothing about whether the statement takes effect.
func Exclusively(conn *mysql.Conn, job string, waits func(), do func() error) error {
	sum := sha256.Sum256([]byte(job))
	name := "opsdeck-" + hex.EncodeToString(sum[:16])
	for waited := false; ; waited = true {
		r, err := conn.Execute("SELECT GET_LOCK(?, ?)", name, lockPatience)
		if err != nil {
			return fmt.Errorf("lock the job's definitions: %w", mysql.Explain(err))
		}
		if got, err := r.GetInt(0, 0); err != nil {
			return fmt.Errorf("lock the job's definitions: %w", err)
		} else if got == 1 {
			break
		}
		if !waited {
			waits()
		}
	}
	err := do()
	if _, unlockErr := conn.Execute("DO RELEASE_LOCK(?)", name); err == nil && unlockErr != nil {
		return fmt.Errorf("unlock the job's definitions: %w", mysql.Explain(unlockErr))
	}
	return err
}
