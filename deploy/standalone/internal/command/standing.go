package command

import (
	"fmt"
	"strconv"
	"strings"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

// standing is how a job does at a moment.
type standing struct {
	status, stage string
	percent       float64 // of the copy
	copied, level bool
	figures       *replicationv1.TaskStatus // nil before the first
	problem       string                    // why it is retrying
}

const (
	finished = "finished"
	retrying = "retrying"
)

// stand reads how a job does from its detail and the figures of its writing task.
func stand(d *replicationv1.GetJobResponse, figures *replicationv1.TaskStatus) standing {
	base := d.GetBasicTaskProfile().GetJobBaseInfo()
	s := standing{status: base.GetJobStatus(), stage: figures.GetStage(), figures: figures}
	for _, step := range base.GetJobSteps() {
		switch step.GetStepName() {
		case stepCopy:
			s.percent, s.copied = step.GetStepSchedule(), step.GetStepStatus() == finished
		case stepFollow:
			s.level = step.GetStepSchedule() == 100
		}
	}
	if len(base.GetJobSteps()) == 0 { // its owner has named none: it has both
		s.percent, _ = strconv.ParseFloat(figures.GetProgressPct(), 64) // 0 before the first figures
		s.copied = s.percent == 100
		s.level = s.copied && s.status == "running" && figures.GetDelayCount().GetNum() == 0 && figures.GetDelayCount().GetTime() == 0
	}
	if s.status == finished {
		s.copied, s.level = true, true
	}
	if s.status == retrying {
		for _, e := range newest(d, maxEvents) {
			if e.GetEventType() == "Terminated" {
				s.problem = e.GetMessage()
			}
		}
	}
	return s
}

// maxEvents is more than a detail has.
const maxEvents = 1 << 20

// key changes when something happens that is worth a line in a log.
func (s standing) key() string {
	return fmt.Sprint(s.status, s.stage, int(s.percent), s.copied, s.level)
}

// String says how the job does, in a line.
func (s standing) String() string {
	if s.status != "running" {
		return s.status
	}
	said := []string{s.status}
	copying := !s.copied && s.percent > 0
	if copying {
		said = append(said, fmt.Sprintf("%s %5.1f%%", terminal.Bar(s.percent), s.percent))
	}
	if s.stage != "" {
		said = append(said, s.stage)
	}
	if f := s.figures; f != nil {
		said = append(said, fmt.Sprintf("%d rows/s", f.GetThroughputStatus().GetNum()))
		if copying {
			said = append(said, "ETA "+f.GetEta())
		} else {
			said = append(said, fmt.Sprintf("%d s behind", f.GetDelayCount().GetTime()), fmt.Sprintf("%d transactions wait", f.GetDelayCount().GetNum()))
		}
	}
	return strings.Join(said, "  ")
}
