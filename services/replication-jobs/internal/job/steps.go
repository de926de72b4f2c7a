package job

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// The states of a step.
const (
	stepWaiting  = "waiting"
	stepStarted  = "start"
	stepFinished = "finished"
	stepFailed   = "failed"
)

const stageIncr = "job_stage_incr"

// standing is how far a job has come.
type standing struct {
	Step          string // task_step_name
	Status        string
	Stage         string // the stage of the newest report, "" before the first
	CopiedPercent float64
	Delay         int64 // seconds
	Backlog       int64 // transactions
	CreateTime    time.Time
}

// steps tells what became of the steps that the owner named; none when they named none.
func (s standing) steps() []*replicationv1.JobStep {
	switch s.Step {
	case stageFull:
		return []*replicationv1.JobStep{s.full()}
	case stageIncr:
		return []*replicationv1.JobStep{s.incr(stageIncr)}
	case "all":
		return []*replicationv1.JobStep{s.full(), s.incr(stageFull)}
	}
	return nil
}

func (s standing) full() *replicationv1.JobStep {
	if s.Stage == stageIncr || s.Status == "finished" {
		return s.step(stageFull, stepFinished, 100)
	}
	return s.step(stageFull, s.underWay(), s.CopiedPercent)
}

// incr is under way once it was reported, or from the start when it is the first step.
func (s standing) incr(first string) *replicationv1.JobStep {
	if s.Stage != stageIncr && first != stageIncr {
		return s.step(stageIncr, stepWaiting, 0)
	}
	done := 0.0
	if s.Stage == stageIncr && s.Status == "running" && s.Delay == 0 && s.Backlog == 0 {
		done = 100
	}
	return s.step(stageIncr, s.underWay(), done)
}

func (s standing) underWay() string {
	switch {
	case s.Status == "retrying":
		return stepFailed
	case s.Stage == "" && s.Status != "running":
		return stepWaiting
	}
	return stepStarted
}

func (s standing) step(name, status string, done float64) *replicationv1.JobStep {
	return &replicationv1.JobStep{StepName: name, StepStatus: status, StepSchedule: done, JobCreateTime: timestamppb.New(s.CreateTime)}
}
