package run

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

func TestPauses(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{1: 1, 2: 1, 3: 1, 4: 2, 5: 4, 6: 8, 7: 15, 8: 15, 1000000: 15} {
		got := pauseAfter(failures, 2)
		require.InDelta(t, float64(want*time.Second), float64(got), 0.2*float64(want*time.Second)+1, "after %d failures", failures)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	traffic := &replicationv1.MessageStatus{InMessages: 5}
	now := time.Unix(0, 1620882952091441700)
	idle := figures{traffic: traffic, now: now, Progress: engine.Progress{
		Stage: "job_stage_incr", Percent: 100, CopiedRows: 4, Source: mysql.Position{File: "bin.2", Offset: 20, GTIDSet: "0-1-9"},
		Executed: mysql.Position{File: "bin.1", Offset: 10, GTIDSet: "0-1-8"}, ReadTx: 9, ReadRows: 3, ExecTx: 8, ExecRows: 2, QueueCapacity: 128,
	}}
	common := &replicationv1.TaskStatus{
		CurrentCoordinates: &replicationv1.Coordinates{
			File: "bin.2", Position: 20, GtidSet: "0-1-8", RelayMasterLogFile: "bin.2", ReadMasterLogPos: 20, RetrievedGtidSet: "0-1-9",
		},
		DelayCount: &replicationv1.DelayCount{}, ProgressPct: "100.0", ExecMasterRowCount: 6, ExecMasterTxCount: 8, ReadMasterRowCount: 7, ReadMasterTxCount: 9,
		Eta: "0s", Backlog: "0/128", ThroughputStatus: &replicationv1.Throughput{Time: 1}, NatsMessageStatus: traffic, BufferStatus: &replicationv1.BufferStatus{},
		Stage: "Master has sent all binlog to slave; waiting for more updates", Timestamp: 1620882952091441700,
	}
	require.True(t, proto.Equal(common, idle.source()), "%v", idle.source())
	require.Equal(t, "bin.1", idle.target().GetCurrentCoordinates().GetFile())
	require.Equal(t, "Slave has read all relay log; waiting for more updates", idle.target().GetStage())

	busy := idle
	busy.Lag, busy.ETA, busy.QueueTransactions = 1500*time.Millisecond, 90*time.Second+time.Millisecond, 1
	require.Equal(t, "1m30s", busy.target().GetEta())
	require.Equal(t, "1/128", busy.target().GetBacklog())
	require.True(t, proto.Equal(&replicationv1.DelayCount{Num: 1, Time: 1}, busy.target().GetDelayCount()))
	require.Equal(t, "Reading event from the relay log", busy.target().GetStage())

	relayed := idle
	relayed.Relay = &relay.Stats{
		Bytes: 5, MaxBytes: 9, End: mysql.Position{File: "bin.3", Offset: 30, GTIDSet: "0-1-11"}, Behind: 2500 * time.Millisecond, Waits: "it is full",
	}
	require.True(t, proto.Equal(&replicationv1.RelayLog{Bytes: 5, MaxBytes: 9, Behind: 2, Waits: "it is full"}, relayed.source().GetRelay()))
	require.True(t, proto.Equal(&replicationv1.Coordinates{
		File: "bin.2", Position: 20, GtidSet: "0-1-8", RelayMasterLogFile: "bin.3", ReadMasterLogPos: 30, RetrievedGtidSet: "0-1-11",
	}, relayed.source().GetCurrentCoordinates()))
	require.Nil(t, relayed.target().GetRelay())

	odd := figures{now: now, Progress: engine.Progress{Source: mysql.Position{File: "bin\xff.2"}, Executed: mysql.Position{File: "bin\xff.1"}}}
	for _, s := range []*replicationv1.TaskStatus{odd.source(), odd.target()} {
		_, err := proto.Marshal(s)
		require.NoError(t, err)
	}

	nothing := figures{now: now}
	require.Nil(t, nothing.source().GetCurrentCoordinates())
	require.Equal(t, "0.0", nothing.source().GetProgressPct())
	require.Equal(t, "Connecting to the instances", nothing.source().GetStage())
	nothing.retrying = true
	require.Equal(t, "Failed; waiting to be started again", nothing.source().GetStage())
}
