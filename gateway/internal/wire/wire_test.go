package wire_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"
	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	trialv1 "github.com/opsdeck/opsdeck/gateway/internal/trial/v1"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// messages are the types that the property tests fill: between them they have every kind of field that the services use.
func messages() []proto.Message {
	return []proto.Message{
		&replicationv1.ReconcileRequest{}, &replicationv1.ReconcileResponse{}, &replicationv1.CreateJobResponse{},
		&replicationv1.GetJobResponse{}, &replicationv1.GetTaskStatusResponse{}, &replicationv1.ListSchemasResponse{},
		&authv1.ListSigningKeysResponse{}, &authv1.GetCurrentUserResponse{},
		&accessv1.Rule{}, &errdetails.ErrorInfo{}, &errdetails.LocalizedMessage{}, &descriptorpb.UninterpretedOption{},
	}
}

// fill sets about two thirds of the fields of a message to odd values.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case r.IntN(3) == 0 || depth == 0 && field.Message() != nil:
		case field.IsList():
			list := m.Mutable(field).List()
			for range r.IntN(3) {
				list.Append(value(r, field, list.NewElement, depth))
			}
		case field.IsMap():
			entries := m.Mutable(field).Map()
			for _, key := range []string{"b", "a", "käse"}[:r.IntN(4)] {
				entries.Set(protoreflect.ValueOfString(key).MapKey(), value(r, field.MapValue(), entries.NewValue, depth))
			}
		default:
			m.Set(field, value(r, field, func() protoreflect.Value { return m.NewField(field) }, depth))
		}
	}
}

func value(r *rand.Rand, field protoreflect.FieldDescriptor, empty func() protoreflect.Value, depth int) protoreflect.Value {
	texts := []string{"", "a", "käse", "\"\\/", "\x00\x1f\x7f", "\u2028<&>", "日本", "\U0001f600"}
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts[r.IntN(len(texts))])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 255, byte(r.IntN(256))})
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(field.Enum().Values().Get(r.IntN(field.Enum().Values().Len())).Number())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0, -1.5, 1e-9, 1e21, math.MaxFloat64, 99.99}[r.IntN(6)])
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64([]uint64{0, math.MaxUint64}[r.IntN(2)])
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32([]int32{0, math.MinInt32, math.MaxInt32, -1}[r.IntN(4)])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{0, math.MinInt64, math.MaxInt64, 1620882952091441701}[r.IntN(4)])
	}
	v := empty()
	switch m := v.Message(); m.Descriptor().FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		m.Set(m.Descriptor().Fields().ByName("seconds"), protoreflect.ValueOfInt64(r.Int64N(1e9)))
		m.Set(m.Descriptor().Fields().ByName("nanos"), protoreflect.ValueOfInt32(r.Int32N(1e9)))
	default:
		fill(r, m, depth-1)
	}
	return v
}

func TestPlainJSONMeansTheSameToProtojson(t *testing.T) {
	t.Parallel()
	plain := wire.NewEncoder(wire.Rules{})
	for seed := range uint64(300) {
		for _, m := range messages() {
			fill(rand.New(rand.NewPCG(seed, 1)), m.ProtoReflect(), 4)
			text, err := plain.Append(nil, m.ProtoReflect(), nil)
			require.NoError(t, err)

			back := m.ProtoReflect().New().Interface()
			require.NoError(t, (protojson.UnmarshalOptions{AllowPartial: true}).Unmarshal(text, back), "%s", text)
			require.True(t, proto.Equal(m, back), "seed %d: %s", seed, text)

			own := m.ProtoReflect().New().Interface()
			_, err = wire.Request{}.Decode(text, own.ProtoReflect())
			if bytes.Contains(text, []byte(`\u0000`)) {
				require.ErrorContains(t, err, "U+0000")
				continue
			}
			require.NoError(t, err, "%s", text)
			require.True(t, proto.Equal(m, own), "seed %d: %s", seed, text)
		}
	}
}

func TestRulesShapeAnAnswer(t *testing.T) {
	t.Parallel()
	const pkg = protoreflect.FullName("opsdeck.replication.v1")
	e := wire.NewEncoder(wire.Rules{
		Time: wire.Seconds,
		Null: wire.FieldSet(pkg, "TaskLog.task_events"),
		Omit: wire.FieldSet(pkg, "TaskLog.node_id", "TaskLog.address"),
		Hide: wire.FieldSet(pkg, "TaskLog.target"),
		Constants: map[protoreflect.FullName][]wire.Constant{
			pkg + ".TaskLog": {{Name: "kind", Text: "log"}},
		},
	})
	log := &replicationv1.TaskLog{Address: "h", Target: "src"}
	got, err := e.Append([]byte("> "), log.ProtoReflect(), nil)
	require.NoError(t, err)
	require.Equal(t, `> {"task_events":null,"allocation_id":"","address":"h","kind":"log"}`, string(got))

	zone := time.FixedZone("", 2*60*60)
	event := &replicationv1.TaskEvent{Time: timestamppb.New(time.Date(2021, 9, 6, 5, 26, 41, 999, zone))}
	got, err = e.Append(nil, event.ProtoReflect(), nil)
	require.NoError(t, err)
	require.Equal(t, `{"event_type":"","setup_error":"","message":"","time":"2021-09-06T03:26:41Z"}`, string(got))

	got, err = e.AppendMembers(nil, (&replicationv1.PauseJobResponse{}).ProtoReflect(), nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestNamesAreThoseOfTheProtoFile(t *testing.T) {
	t.Parallel()
	fields := (&replicationv1.TaskStatus{}).ProtoReflect().Descriptor().Fields()
	for field, want := range map[string]string{"progress_pct": "progress_PCT", "eta": "ETA", "exec_master_row_count": "exec_master_row_count"} {
		require.Equal(t, want, wire.Name(fields.ByName(protoreflect.Name(field))))
	}
}

func TestInfinityHasNoJSON(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
		step := &replicationv1.JobStep{StepSchedule: f}
		_, err := wire.NewEncoder(wire.Rules{}).Append(nil, step.ProtoReflect(), nil)
		require.ErrorContains(t, err, "step_schedule")
	}
}

func TestValuesOfQueriesAndForms(t *testing.T) {
	t.Parallel()
	list := &accessv1.Services{}
	require.NoError(t, wire.Request{}.DecodeValues(url.Values{"names": {"b", "a"}}, "form field", list.ProtoReflect()))
	require.Equal(t, []string{"b", "a"}, list.GetNames())

	option := &descriptorpb.UninterpretedOption{}
	require.NoError(t, wire.Request{}.DecodeValues(url.Values{
		"positive_int_value": {"18446744073709551615"}, "negative_int_value": {"-9223372036854775808"}, "double_value": {"-1.5e3"}, "string_value": {"/w=="},
	}, "form field", option.ProtoReflect()))
	require.Equal(t, uint64(math.MaxUint64), option.GetPositiveIntValue())
	require.Equal(t, int64(math.MinInt64), option.GetNegativeIntValue())
	require.InDelta(t, -1500, option.GetDoubleValue(), 0)
	require.Equal(t, []byte{255}, option.GetStringValue())

	for name, text := range map[string]string{
		"positive_int_value": "-1", "negative_int_value": "9223372036854775808", "double_value": "NaN", "string_value": "!", "identifier_value": "\xff",
		"aggregate_value": "\x00", "name": "x", "unknown": "1",
	} {
		err := wire.Request{}.DecodeValues(url.Values{name: {text}}, "form field", option.ProtoReflect())
		require.ErrorContains(t, err, name+": ", "%s=%q", name, text)
	}
	for _, text := range []string{"Inf", "0x1p3", "1_0", "+1", "1e999", ""} {
		err := wire.Request{}.DecodeValues(url.Values{"double_value": {text}}, "form field", option.ProtoReflect())
		require.ErrorContains(t, err, "double_value: must be a number", "%q", text)
	}
}

func TestMapsAndOneofsAreStrict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text    string
		message proto.Message
		want    string
	}{
		{`{"metadata":{"a":"1","a":"2"}}`, &errdetails.ErrorInfo{}, "metadata.a: is given twice"},
		{`{"metadata":{"a":1}}`, &errdetails.ErrorInfo{}, "metadata.a: must be text"},
		{`{"metadata":[]}`, &errdetails.ErrorInfo{}, "metadata: must be an object"},
		{`{"public":true,"signed_in":true}`, &accessv1.Rule{}, "signed_in: excludes public"},
		{`{"state":"BROKEN"}`, &replicationv1.RunReport{}, `state: must be one of the documented words, got "BROKEN"`},
		{`{"time":"yesterday"}`, &replicationv1.TaskEvent{}, "time: must be a time like"},
		{`{"time":1}`, &replicationv1.TaskEvent{}, "time: must be text"},
		{`{"lease":"1"}`, &replicationv1.ReconcileResponse{}, "lease: must be a time span like"},
	} {
		_, err := wire.Request{}.Decode([]byte(test.text), test.message.ProtoReflect())
		require.ErrorContains(t, err, test.want)
	}
}

func TestErrorsDoNotRepeatLongValues(t *testing.T) {
	t.Parallel()
	_, err := wire.Request{}.Decode([]byte(`{"retry":"`+strings.Repeat("9", 5000)+`"}`), (&replicationv1.JobConfig{}).ProtoReflect())
	require.ErrorContains(t, err, "retry: must be a whole number")
	require.Less(t, len(err.Error()), 200)
}

// trialPkg is the package of messages that exist for tests.
const trialPkg = protoreflect.FullName("trial.v1")

func TestSecondNames(t *testing.T) {
	t.Parallel()
	request := wire.Request{
		Mirrors: wire.Mirrors{trialPkg + ".User.name": "username"},
		Names:   wire.Names{trialPkg + ".Grant": {"permissions": "permission", "object_id": "id"}},
	}
	for _, test := range []struct {
		text string
		into proto.Message
		want proto.Message
		err  string
	}{
		{`{"name":"a"}`, &trialv1.User{}, &trialv1.User{Name: "a"}, ""},
		{`{"username":"a"}`, &trialv1.User{}, &trialv1.User{Name: "a"}, ""},
		{`{"username":"b","name":"a"}`, &trialv1.User{}, &trialv1.User{Name: "a"}, ""},
		{`{"name":"a","username":["ignored",{}],"id":1}`, &trialv1.User{}, &trialv1.User{Id: 1, Name: "a"}, ""},
		{`{"username":"b","name":null}`, &trialv1.User{}, &trialv1.User{}, ""},
		{`{"username":"b","username":"c"}`, &trialv1.User{}, nil, "username: is given twice"},
		{`{"username":1}`, &trialv1.User{}, nil, "username: must be text"},
		{`{"authorizations":[{"id":1,"permissions":{"a":true}}]}`, &trialv1.GrantHostsRequest{}, &trialv1.GrantHostsRequest{Authorizations: []*trialv1.Grant{{Id: 1, Permission: map[string]bool{"a": true}}}}, ""},
		{`{"authorizations":[{"object_id":1,"id":2}]}`, &trialv1.GrantHostsRequest{}, nil, "authorizations[0].id: is given twice"},
		{`{"authorizations":[{"id":1,"object_id":2}]}`, &trialv1.GrantHostsRequest{}, nil, "authorizations[0].object_id: is given twice: it is another name of id"},
		{`{"object_id":1}`, &trialv1.GrantHostsRequest{}, nil, "object_id: there is no such field"},
	} {
		_, err := request.Decode([]byte(test.text), test.into.ProtoReflect())
		if test.err != "" {
			require.ErrorContains(t, err, test.err)
			continue
		}
		require.NoError(t, err, test.text)
		require.True(t, proto.Equal(test.want, test.into), "%s: %s", test.text, test.into)
	}

	e := wire.NewEncoder(wire.Rules{Mirrors: request.Mirrors})
	got, err := e.Append(nil, (&trialv1.User{Id: 1, Name: "a"}).ProtoReflect(), nil)
	require.NoError(t, err)
	require.Equal(t, `{"id":1,"name":"a","username":"a","phone":null,"permission":{}}`, string(got))
}

func TestAliasesMeanAnotherFieldThanThePath(t *testing.T) {
	t.Parallel()
	bare := wire.Request{Reserved: []string{"id"}, Aliases: map[string]string{"id": "name"}}
	m := &trialv1.User{}
	_, err := bare.Decode([]byte(`{"id":"a"}`), m.ProtoReflect())
	require.NoError(t, err)
	require.Equal(t, "a", m.GetName())
	full := wire.Request{Reserved: []string{"id", "name"}, Aliases: bare.Aliases}
	_, err = full.Decode([]byte(`{"id":"a"}`), m.ProtoReflect())
	require.ErrorContains(t, err, "id: there is no such field")
}

func TestBodiesThatAreLists(t *testing.T) {
	t.Parallel()
	roles := (&trialv1.AddRolesRequest{}).ProtoReflect().Descriptor().Fields().ByName("roles")
	for _, test := range []struct {
		text   string
		single bool
		want   []*trialv1.IdRef
		err    string
	}{
		{`[{"id":1},{"id":2}]`, false, []*trialv1.IdRef{{Id: 1}, {Id: 2}}, ""},
		{`[{}]`, false, []*trialv1.IdRef{{}}, ""},
		{`{"id":1}`, true, []*trialv1.IdRef{{Id: 1}}, ""},
		{`{"id":1}`, false, nil, "body: must be a JSON array, got an object"},
		{`{"id":"x"}`, true, nil, "[0].id: must be a whole number"},
		{`[]`, true, nil, "body: must not be an empty array"},
		{`"x"`, true, nil, "body: must be a JSON array, got text"},
		{`[null]`, true, nil, "[0]: must be an object, got null"},
		{` `, true, nil, "body: is empty, want a JSON array"},
		{`[{"id":1}`, true, nil, "body: is not JSON"},
	} {
		m := &trialv1.AddRolesRequest{}
		err := wire.Request{Single: test.single}.DecodeList([]byte(test.text), m.ProtoReflect(), roles)
		if test.err != "" {
			require.ErrorContains(t, err, test.err)
			continue
		}
		require.NoError(t, err, test.text)
		require.True(t, proto.Equal(&trialv1.AddRolesRequest{Roles: test.want}, m), test.text)
	}
}

func TestMasksHoldWhatABodyNames(t *testing.T) {
	t.Parallel()
	m := &trialv1.UpdateUserRequest{}
	_, err := wire.Request{Partial: true, Mirrors: wire.Mirrors{trialPkg + ".UpdateUserRequest.name": "username"}}.
		Decode([]byte(`{"username":"b","phone":null,"name":"a","tags":[]}`), m.ProtoReflect())
	require.NoError(t, err)
	require.Equal(t, []string{"name", "phone", "tags"}, m.GetUpdateMask().GetPaths())
	require.Equal(t, "a", m.GetName())
	_, err = wire.Request{Partial: true}.Decode([]byte(`{"name":null}`), (&trialv1.RenameRoleRequest{}).ProtoReflect())
	require.ErrorContains(t, err, "name: must not be null")
}

// FuzzDecode proves that no body makes the decoder fall over, and that what it accepts means the same to protojson.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"job_id":"a","retry":2}`, `{"src_task":{"replicate_do_db":[{"tables":[]}],"chunk_size":1}}`,
		`{"migration_job_config":{"job_id":"a"}}`, `{"job_id":"\ud800"}`, `{"retry":1e3}`, `{"retry":-0}`, `[[[[`, `{"a":{"a":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := &replicationv1.JobConfig{}
		if _, err := (wire.Request{}).Decode(data, got.ProtoReflect()); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, json.Valid(data))
		want := &replicationv1.JobConfig{}
		if err := protojson.Unmarshal(data, want); err == nil { // it refuses lone surrogates, which become U+FFFD here
			require.True(t, proto.Equal(want, got), "%s", data)
		}
	})
}

// FuzzDecodeList proves that no body makes the decoder of arrays fall over, and that what it accepts means the same to protojson.
func FuzzDecodeList(f *testing.F) {
	for _, seed := range []string{
		`[{"id":1,"permission":{"view_app":true}}]`, `[]`, `{}`, `[[]]`, `[{"permissions":{"a":false},"id":2},{}]`, `[null]`, `{"id":1}`, `[{"id":1},`,
	} {
		f.Add([]byte(seed))
	}
	field := (&trialv1.GrantHostsRequest{}).ProtoReflect().Descriptor().Fields().ByName("authorizations")
	request := wire.Request{Single: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := &trialv1.GrantHostsRequest{}
		if err := request.DecodeList(data, got.ProtoReflect(), field); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, got.GetAuthorizations())
		array := data
		if bytes.TrimSpace(data)[0] == '{' {
			array = append(append([]byte("["), data...), ']')
		}
		want := &trialv1.GrantHostsRequest{}
		if err := protojson.Unmarshal(append(append([]byte(`{"authorizations":`), array...), '}'), want); err == nil {
			require.True(t, proto.Equal(want, got), "%s", data)
		}
	})
}

// FuzzEncode proves that every message becomes JSON that encoding/json accepts.
func FuzzEncode(f *testing.F) {
	f.Add(uint64(1), "text")
	f.Add(uint64(2), "\x00\"\\\u2028")
	plain := wire.NewEncoder(wire.Rules{})
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		m := &replicationv1.GetJobResponse{}
		fill(rand.New(rand.NewPCG(seed, 2)), m.ProtoReflect(), 4)
		text = strings.ToValidUTF8(text, "")
		m.TaskLogs = append(m.TaskLogs, &replicationv1.TaskLog{Address: text})
		out, err := plain.Append(nil, m.ProtoReflect(), nil)
		require.NoError(t, err)
		var back struct {
			TaskLogs []struct{ Address string } `json:"task_logs"`
		}
		require.NoError(t, json.Unmarshal(out, &back), "%s", out)
		require.Equal(t, text, back.TaskLogs[len(back.TaskLogs)-1].Address)
	})
}
