package dialect

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const (
	auth        protoreflect.FullName = "opsdeck.auth.v1"
	replication protoreflect.FullName = "opsdeck.replication.v1"
)

// dtle is the dialect of contract 000: payload and message side by side in one object, errors as an HTTP status and a message.
var dtle = &Dialect{
	Name:     "dtle",
	prefixes: []string{"/v2"},
	token:    bearer("Bearer"),
	encodings: map[protoreflect.FullName]Encoding{
		auth + ".SessionService.CreateCaptcha": JSON | Form | Query,
		auth + ".SessionService.Login":         JSON | Form,
		replication + ".JobService.PauseJob":   JSON | Form | Query,
		replication + ".JobService.ResumeJob":  JSON | Form | Query,
		replication + ".JobService.DeleteJob":  JSON | Form | Query,
	},
	wrappers: []string{"migration_job_config", "sync_job_config"},
	aliases:  map[string]string{"filter_job_id": "filter_job_name"},
	encoder: wire.NewEncoder(wire.Rules{
		Time: wire.Seconds,
		Null: wire.FieldSet(replication,
			"TableRule.column_map_from", "JobSummary.job_steps", "JobBaseInfo.job_steps", "TaskProfile.dtle_node_infos",
			"TaskLog.task_events", "KafkaConnection.kafka_broker_addrs"),
		Echo: wire.FieldSet(replication, "SourceTask.replicate_do_db", "SourceTask.replicate_ignore_db", "SchemaRule.tables"),
		Omit: wire.FieldSet(replication, "SourceTask.node_id", "DestTask.node_id", "ListJobsResponse.next_page_token"),
		Hide: wire.FieldSet(auth, "LoginResponse.expire_time"),
		Constants: map[protoreflect.FullName][]wire.Constant{
			auth + ".User": {{Name: "password", Text: "*"}},
		},
	}),
	success: dtleSuccess,
	failure: func(dst []byte, status int, f *fault.Fault) (int, []byte) {
		dst = wire.AppendString(append(dst, `{"message":`...), f.Message)
		return status, append(dst, '}')
	},
}

// DTLEWraps reports whether an answer of dtle stands under data, with only the message beside it.
func DTLEWraps(name protoreflect.FullName) bool { return name == auth+".LoginResponse" }

// dtleSuccess adds "message":"ok", unless the answer has a message of its own, which is then the outcome.
func dtleSuccess(d *Dialect, dst []byte, m protoreflect.Message, sent *wire.Sent) ([]byte, error) {
	if DTLEWraps(m.Descriptor().FullName()) {
		dst, err := d.encoder.Append(append(dst, `{"message":"ok","data":`...), m, sent)
		return append(dst, '}'), err
	}
	dst, err := d.encoder.AppendMembers(append(dst, '{'), m, sent)
	if m.Descriptor().Fields().ByName("message") != nil {
		dst[len(dst)-1] = '}'
		return dst, err
	}
	return append(dst, `"message":"ok"}`...), err
}
