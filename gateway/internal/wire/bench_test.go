package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// BenchmarkDecodeList reads a body with 10,000 records.
func BenchmarkDecodeList(b *testing.B) {
	records := make([]string, 10_000)
	for i := range records {
		records[i] = fmt.Sprintf(`{"name":"h%d.example.org","type":"A","value":"10.0.%d.%d"}`, i, i>>8, i&255)
	}
	body := []byte("[" + strings.Join(records, ",") + "]")
	field := (&dnsv1.CreateRecordsRequest{}).ProtoReflect().Descriptor().Fields().ByName("records")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := (wire.Request{}).DecodeList(body, (&dnsv1.CreateRecordsRequest{}).ProtoReflect(), field); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList prints a list of 100 jobs, beside protojson doing the same.
func BenchmarkList(b *testing.B) {
	list := &replicationv1.ListJobsResponse{}
	for i := range 100 {
		list.Jobs = append(list.Jobs, &replicationv1.JobSummary{
			JobId: fmt.Sprintf("job-%d-migration", i), JobStatus: "running", User: "platform:admin", JobCreateTime: timestamppb.Now(),
			SrcAddrList: []string{"10.0.0.1"}, DstAddrList: []string{"10.0.0.2"},
			JobSteps: []*replicationv1.JobStep{{StepName: "job_stage_full", StepStatus: "finished", StepSchedule: 100, JobCreateTime: timestamppb.Now()}},
		})
	}
	encoder := wire.NewEncoder(wire.Rules{Time: wire.Seconds})
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encoder.Append(make([]byte, 0, 512), list.ProtoReflect(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (protojson.MarshalOptions{EmitUnpopulated: true, UseProtoNames: true}).Marshal(list); err != nil {
				b.Fatal(err)
			}
		}
	})
}
