package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
)

// The alarm is raised by the first job that makes the share of a full window too high:
// here against a count that is done the slow way.
func TestAlarm(t *testing.T) {
	const window, share = 20, 0.3
	for _, c := range []struct {
		name    string
		refused func(i int) bool
	}{
		{"none", func(int) bool { return false }},
		{"all", func(int) bool { return true }},
		{"as many as may be", func(i int) bool { return i%10 < 3 }},
		{"one more", func(i int) bool { return i%10 < 3 || i == 55 }},
		{"at first only", func(i int) bool { return i < 6 }},
		{"a burst late", func(i int) bool { return i >= 80 && i < 87 }},
	} {
		at := -1
		for i := window - 1; i < 100 && at < 0; i++ {
			n := 0
			for j := i - window + 1; j <= i; j++ {
				if c.refused(j) {
					n++
				}
			}
			if n > window*3/10 {
				at = i
			}
		}
		var raised *AlarmError
		tally := &Tally{}
		a := NewAlarm(tally, AlarmConfig{Share: share, Window: window}, func(e *AlarmError) {
			if raised != nil {
				t.Errorf("%s: raised twice", c.name)
			}
			raised = e
		})
		got := -1
		for i := range 100 {
			job := &pipeline.Job{Dataset: "d"}
			a.Ended(job, ledger.DupOf, pipeline.Verdict{}, 0) // counts for nothing
			if c.refused(i) {
				a.Ended(job, ledger.Quarantined, pipeline.Verdict{Fault: &pipeline.Fault{Code: "source.gone"}}, 0)
			} else {
				a.Ended(job, ledger.OK, pipeline.Verdict{Samples: 1}, 0)
			}
			if raised != nil && got < 0 {
				got = i
			}
		}
		if got != at {
			t.Errorf("%s: raised at job %d, want %d", c.name, got, at)
		}
		if n := tally.Counts().Jobs; n != 200 {
			t.Errorf("%s: %d jobs were handed on", c.name, n)
		}
		if raised != nil && (raised.Of != window || raised.Codes["source.gone"] != raised.Refused || !strings.Contains(raised.Error(), "source.gone")) {
			t.Errorf("%s: %v", c.name, raised)
		}
	}
}

// One dataset's refusals are not hidden by another's jobs, and names that strangers make
// up cost no more than so much.
func TestAlarmByDataset(t *testing.T) {
	var raised *AlarmError
	a := NewAlarm(&Tally{}, AlarmConfig{Share: 0.5, Window: 10}, func(e *AlarmError) { raised = e })
	bad := pipeline.Verdict{Fault: &pipeline.Fault{Code: "decode.invalid"}}
	for i := range 3000 {
		a.Ended(&pipeline.Job{Dataset: fmt.Sprint("made-up-", i)}, ledger.OK, pipeline.Verdict{}, 0)
	}
	if len(a.datasets) > mostDatasets+1 {
		t.Errorf("%d datasets are kept", len(a.datasets))
	}
	for range 10 {
		for range 20 {
			a.Ended(&pipeline.Job{Dataset: "made-up-1"}, ledger.OK, pipeline.Verdict{}, 0)
		}
		a.Ended(&pipeline.Job{Dataset: "made-up-2"}, ledger.Quarantined, bad, 0)
	}
	if raised == nil || raised.Dataset != "made-up-2" {
		t.Errorf("raised: %v", raised)
	}
	off := NewAlarm(&Tally{}, DefaultAlarm(), func(e *AlarmError) { t.Errorf("it is off, and raised %v", e) })
	for range 2000 {
		off.Ended(&pipeline.Job{}, ledger.Quarantined, bad, 0)
	}
}

func TestAlarmConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  AlarmConfig
		want string
	}{
		{DefaultAlarm(), ""}, {AlarmConfig{Share: 0.5, Window: 100}, ""},
		{AlarmConfig{Share: 1, Window: 100}, "alarm.share"}, {AlarmConfig{Share: -1, Window: 100}, "alarm.share"},
		{AlarmConfig{Share: 0.5, Window: 9}, "alarm.window"}, {AlarmConfig{Share: 0.5, Window: 2_000_000}, "alarm.window"},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}
