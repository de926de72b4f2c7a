package dialect

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const (
	auth        protoreflect.FullName = "opsdeck.auth.v1"
	replication protoreflect.FullName = "opsdeck.replication.v1"
)

// roleFields are the names that the documents' tables and examples give to the fields of roles.
var roleFields = fields{
	aliases: map[string]string{"object_users": "operation_users", "object_type": "operation_object_type"}, single: true,
}

// beyondContract are the fields of a message about Kafka that the documents do not have.
func beyondContract(message string) []string {
	fields := []string{
		"single_topic", "schema_change_topic", "schemas", "decimal", "bigint_unsigned", "max_message_bytes", "tls", "sasl_mechanism", "user", "password",
	}
	for i, field := range fields {
		fields[i] = message + ".kafka_" + field
	}
	return fields
}

// encrypted4 is the other name of what says that passwords are encrypted.
var encrypted4 = map[string]string{"is_password_encrypted": "is_mysql_password_encrypted"} //nolint:gosec // names of fields

// dtle4 is the shape of jobs in dtle 4: names without "mysql", and what one kind of database has in an object of its own. What only other
// databases than MySQL need is taken when it says nothing.
var dtle4 = wire.Shape{
	Names: wire.Names{
		replication + ".JobConfig":           encrypted4,
		replication + ".JobConfigToValidate": encrypted4,
		replication + ".SubscriptionConfig":  encrypted4,
		replication + ".SourceTask":          {"connection_config": "mysql_connection_config"},
		replication + ".DestTask":            {"connection_config": "mysql_connection_config"},
		replication + ".MySQLConnection":     {"host": "mysql_host", "port": "mysql_port", "user": "mysql_user", "password": "mysql_password"},
	},
	Inline: map[protoreflect.FullName][]string{
		replication + ".SourceTask": {"mysql_src_task_config"},
		replication + ".DestTask":   {"mysql_dest_task_config"},
	},
	Fixed: map[protoreflect.FullName]map[string][]string{
		replication + ".SourceTask": {
			"oracle_src_task_config": nil, "sql_filter": {`[]`}, "expand_syntax_support": {`false`}, "dump_entry_limit": {`0`},
			"two_way_sync": {`false`}, "two_way_sync_gtid": {`""`},
		},
		replication + ".DestTask": {
			"database_type": {`"MySQL"`, `""`}, "bulk_insert1": {`0`}, "bulk_insert2": {`0`}, "retry_tx_limit": {`0`}, "set_gtid_next": {`false`},
		},
		replication + ".MySQLConnection": {"database_type": {`"MySQL"`, `""`}, "service_name": {`""`}},
		replication + ".TableRule":       {"column_map_to": {`[]`}},
	},
}

// dtle is the dialect of contract 000: payload and message side by side in one object, errors as an HTTP status and a message.
var dtle = &Dialect{
	Name:     "dtle",
	prefixes: []string{"/v2"},
	caller:   header("Bearer"),
	encodings: map[protoreflect.FullName]Encoding{
		auth + ".SessionService.CreateCaptcha":      JSON | Form | Query,
		auth + ".SessionService.Login":              JSON | Form,
		auth + ".UserService.DeleteUser":            JSON | Form | Query,
		auth + ".RoleService.DeleteRole":            JSON | Form | Query,
		replication + ".JobService.PauseJob":        JSON | Form | Query,
		replication + ".JobService.ResumeJob":       JSON | Form | Query,
		replication + ".JobService.DeleteJob":       JSON | Form | Query,
		replication + ".JobService.StartReverseJob": JSON | Form | Query,
		replication + ".LogService.SetLogLevel":     JSON | Form | Query,
	},
	wrappers: []string{"migration_job_config", "sync_job_config", "subscription_job_config", "job_config"},
	aliases:  map[string]string{"filter_job_id": "filter_job_name"},
	fields: map[protoreflect.FullName]fields{
		auth + ".SessionService.Login":                 {aliases: map[string]string{"otp_code": "totp"}},
		auth + ".UserService.CreateUser":               {aliases: map[string]string{"user_name": "username", "password": "pass_word"}},
		auth + ".UserService.UpdateUser":               {aliases: map[string]string{"user_name": "username"}},
		auth + ".UserService.ResetPassword":            {aliases: map[string]string{"user_name": "username", "pass_word": "password"}},
		auth + ".UserService.DeleteUser":               {aliases: map[string]string{"user_name": "username"}},
		auth + ".RoleService.CreateRole":               roleFields,
		auth + ".RoleService.UpdateRole":               roleFields,
		auth + ".RoleService.DeleteRole":               {aliases: map[string]string{"username": "name"}},
		replication + ".ValidationService.ValidateJob": {aliases: map[string]string{"job_name": "job_id"}},
	},
	shape:     dtle4,
	questions: map[string]string{"/v2/validation/job": "job_config"},
	detours: map[string]Detour{
		"POST /v2/user/create": {"POST /v2/role/create", isRole},
		"POST /v2/user/update": {"POST /v2/role/update", isRole},
	},
	encoder: wire.NewEncoder(wire.Rules{
		Time: wire.Seconds,
		Null: wire.Fields{
			auth + ".Role.object_users":                         true,
			replication + ".TableRule.column_map_from":          true,
			replication + ".JobSummary.job_steps":               true,
			replication + ".JobBaseInfo.job_steps":              true,
			replication + ".TaskProfile.dtle_node_infos":        true,
			replication + ".TaskLog.task_events":                true,
			replication + ".KafkaConnection.kafka_broker_addrs": true,
		},
		Echo: wire.FieldSet(replication, "SourceTask.replicate_do_db", "SourceTask.replicate_ignore_db", "SchemaRule.tables"),
		Omit: wire.FieldSet(replication, slices.Concat(
			[]string{"SourceTask.node_id", "DestTask.node_id", "KafkaTask.node_id", "KafkaTask.parallel_workers", "KafkaTask.kafka_tls_ca", "MySQLConnection.mysql_ssl_mode", "MySQLConnection.mysql_ssl_ca", "MySQLConnection.mysql_addresses", "MySQLConnection.mysql_socket", "ListJobsResponse.next_page_token", "GetJobResponse.verification", "TaskStatus.tunnel", "SourceTask.replicate_objects", "JobSettings.replicate_objects"},
			beyondContract("KafkaTask"), beyondContract("KafkaConnection"),
			[]string{"SourceTask.binlog_relay_max_mib", "JobSettings.binlog_relay_max_mib", "GetJobResponse.relay", "TaskStatus.relay"},
			[]string{"DestTask.max_rows_per_second", "DestTask.max_bytes_per_second", "DestTask.conflict_policy", "DestTask.max_merged_transactions"},
			[]string{"JobSettings.max_rows_per_second", "JobSettings.max_bytes_per_second", "JobSettings.conflict_policy", "JobSettings.max_merged_transactions"},
		)...),
		Hide: wire.FieldSet(auth, "LoginResponse.expire_time"),
		Constants: map[protoreflect.FullName][]wire.Constant{
			auth + ".User": {{Name: "password", Text: "*"}},
		},
	}),
	success: dtleSuccess,
	failure: func(dst []byte, f failed) (int, []byte) {
		dst = wire.AppendString(append(dst, `{"message":`...), f.text)
		return f.status, append(dst, '}')
	},
}

// DTLEWraps reports whether an answer of dtle stands under data, with only the message beside it.
func DTLEWraps(name protoreflect.FullName) bool { return name == auth+".LoginResponse" }

// dtleSuccess adds "message":"ok", unless the answer has a message of its own, which is then the outcome.
func dtleSuccess(d *Dialect, dst []byte, a Answer) ([]byte, error) {
	if DTLEWraps(a.Message.Descriptor().FullName()) {
		dst, err := d.encoder.Append(append(dst, `{"message":"ok","data":`...), a.Message, a.Sent)
		return append(dst, '}'), err
	}
	dst, err := d.encoder.AppendMembers(append(dst, '{'), a.Message, a.Sent)
	if a.Message.Descriptor().Fields().ByName("message") != nil {
		dst[len(dst)-1] = '}'
		return dst, err
	}
	return append(dst, `"message":"ok"}`...), err
}
