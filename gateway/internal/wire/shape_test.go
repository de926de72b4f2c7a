package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

func TestOtherShape(t *testing.T) {
	t.Parallel()
	const pkg = protoreflect.FullName("opsdeck.replication.v1")
	request := wire.Request{Shape: wire.Shape{
		Names:  wire.Names{pkg + ".SourceTask": {"connection_config": "mysql_connection_config"}, pkg + ".MySQLConnection": {"host": "mysql_host"}},
		Inline: map[protoreflect.FullName][]string{pkg + ".SourceTask": {"mysql_src_task_config"}},
		Fixed:  map[protoreflect.FullName]map[string][]string{pkg + ".MySQLConnection": {"database_type": {`"MySQL"`, `""`}}},
	}}
	want := &replicationv1.JobConfig{SrcTask: &replicationv1.SourceTask{
		Gtid: "0-1-1", AutoGtid: true, TaskName: "src", MysqlConnectionConfig: &replicationv1.MySQLConnection{MysqlHost: "a", MysqlPort: 1},
	}}
	for text, problem := range map[string]string{
		`{"src_task":{"task_name":"src","mysql_src_task_config":{"gtid":"0-1-1","auto_gtid":true},"connection_config":{"host":"a","mysql_port":1,"database_type":"MySQL"}}}`:          "",
		`{"src_task":{"mysql_src_task_config":{"gtid":"0-1-1"},"task_name":"src","auto_gtid":true,"mysql_connection_config":{"mysql_host":"a","mysql_port":1,"database_type":null}}}`: "",
		`{"src_task":{"mysql_src_task_config":null}}`:                    "same",
		`{"src_task":{"gtid":"1","mysql_src_task_config":{"gtid":"2"}}}`: "src_task.mysql_src_task_config.gtid: is given twice",
		`{"src_task":{"mysql_src_task_config":[]}}`:                      "src_task.mysql_src_task_config: must be an object, got",
		`{"src_task":{"mysql_src_task_config":{"unknown":1}}}`:           "src_task.mysql_src_task_config.unknown: there is no such field",
		`{"src_task":{"connection_config":{"database_type":"Oracle"}}}`:  `src_task.connection_config.database_type: can only be null or "MySQL" or "" here`,
		`{"src_task":{"connection_config":{"database_type":{"a":[1]}}}}`: "can only be null",
		`{"mysql_src_task_config":{}}`:                                   "mysql_src_task_config: there is no such field",
	} {
		got := &replicationv1.JobConfig{}
		_, err := request.Decode([]byte(text), got.ProtoReflect())
		switch problem {
		case "":
			require.NoError(t, err, text)
			require.True(t, proto.Equal(want, got), "%s: %v", text, got)
		case "same":
			require.NoError(t, err, text)
		default:
			require.ErrorContains(t, err, problem, text)
		}
	}
}
