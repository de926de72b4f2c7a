package bench

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

func TestADeadlockOfAPeerIsSaidInItsArm(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	idle := func(ctx context.Context, _, _, _, _ string) error {
		<-ctx.Done()
		return nil
	}
	err := stage.Run(t.Context(), "", "", idle, func(ctx context.Context, on *stage.Stage) error {
		e := &engines{size: Size{Rows: 2, Rounds: 2}}
		for id, server := range []**mariadb.Server{&e.source, &e.target} {
			s, err := mariadb.Start(ctx, mariadb.Options{Dir: filepath.Join(on.Dir, "db"+strconv.Itoa(id)), ServerID: uint32(id + 1)})
			if err != nil {
				return err
			}
			defer func() { _ = s.Kill() }() // its files are thrown away
			*server = s
		}
		if err := e.prepare(ctx); err != nil {
			return err
		}
		deadlock := failed("loader", errors.New("exit status 1"), []byte("error 1213: Deadlock found when trying to get lock"))
		return e.copies(ctx, &out, []copyArm{
			{arm{name: "never"}, func(context.Context, int) error { return deadlock }},
			{arm{name: "half"}, func(ctx context.Context, round int) error {
				if round == 0 {
					return deadlock
				}
				return e.copyByDump(ctx, round)
			}},
			{arm{name: "always"}, e.copyByDump},
		})
	})
	require.NoError(t, err)
	require.Regexp(t, `\| never \| - \| - \| - \| - \| - \| \[deadlock deadlock\] \|`, out.String())
	require.Regexp(t, `\| half \| \d+ \| \d+\.\d\d \|.*\| \[\d+ deadlock\] \|`, out.String())
	require.Regexp(t, `\| always \| \d+ \| 1\.00 \|.*\| \[\d+ \d+\] \|`, out.String())
}

func TestOtherFailuresOfAPeerEndTheRun(t *testing.T) {
	t.Parallel()
	exit := errors.New("exit status 1")
	err := failed("loader", exit, []byte("Access denied"))
	require.NotErrorIs(t, err, errDeadlock)
	require.ErrorIs(t, err, exit)
	require.ErrorContains(t, err, "loader: exit status 1: Access denied")
}
