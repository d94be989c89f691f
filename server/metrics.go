package server

import (
	"bytes"
	"fmt"
	"strings"
)

// Metric names a row of the table of metrics.
type Metric int

// The metrics. What they mean stands in the table.
const (
	Events Metric = iota
	EventLateness
	Decisions
	RunsStarted
	RunsHeld
	RunsEnded
	RunDuration
	RunDelay
	Runs
	RunsParked
	QueueReady
	QueueBlocked
	QueueAge
	Workers
	WorkersBusy
	Attempts
	AttemptDuration
	Outcomes
	Retries
	OutcomesKept
	CommitSize
	CommitDuration
	CommitsFailed
	LastCommit
	JournalBytes
	GraphRequests
	GraphRefused
	GraphDuration
	GraphInFlight
	GraphWaiting
	GraphBudgetLeft
	GraphBudgetBurst
	GraphPauseLeft
	GraphLastSuccess
	Polls
	PollLastSuccess
	PollFailures
	PollInterval
	PollPasses
	PollPages
	PollObjects
	PollOverlap
	WebhookRequests
	Slots
	Schedules
	Clocks
	Reloads
	LastReload
	PlaybooksLoaded
	Findings
	CheckOK
	LogLines
	BuildInfo
	metrics
)

// Kind is what kind of metric a row is.
type Kind string

// The kinds of metrics, in Prometheus's words.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Row describes a metric. Its name begins with playbookd_ and ends with its unit, and with
// _total if it only grows, as Prometheus has it.
type Row struct {
	Name   string
	Kind   Kind
	Unit   string
	Labels []string
	Help   string
}

// Table is every metric of playbookd, and the only place where one is described: a name that is
// not here can't be shown, and docs/metrics.md is made of it.
func Table() []Row {
	var (
		source  = []string{"tenant", "source"}
		class   = []string{"tenant", "class"}
		poll    = []string{"tenant", "resource"}
		outcome = []string{"outcome"}
	)
	return []Row{
		Events:        {"playbookd_events_total", Counter, "events", []string{"tenant", "source", "outcome"}, "Events seen: admitted ones were new; a duplicate had been admitted before, as most of what a poll reads again has"},
		EventLateness: {"playbookd_event_lateness_seconds", Histogram, "seconds", source, "How long after the source's own time a new event was seen"},
		Decisions:     {"playbookd_decisions_total", Counter, "decisions", []string{"verdict", "reason"}, "Decisions about new events; playbooks that listen to other sources are not among them. screened are those that followed from the comparisons that a condition begins with: not_matched or skipped, as playbookd show says of each"},

		RunsStarted: {"playbookd_runs_started_total", Counter, "runs", []string{"playbook"}, "Runs that began"},
		RunsHeld:    {"playbookd_runs_held_total", Counter, "runs", []string{"playbook"}, "Runs that were parked before they began, because the playbook ran too often, for the object or at all"},
		RunsEnded:   {"playbookd_runs_ended_total", Counter, "runs", []string{"playbook", "state"}, "Runs that ended, by how"},
		RunDuration: {"playbookd_run_duration_seconds", Histogram, "seconds", []string{"state"}, "From the start of a run to its end, waiting included"},
		RunDelay:    {"playbookd_run_delay_seconds", Histogram, "seconds", nil, "From when an event was seen until its run is under way and makes its first attempt"},
		Runs:        {"playbookd_runs", Gauge, "runs", []string{"state"}, "Runs in the journal by state; those that ended are deleted after the retention time"},
		RunsParked:  {"playbookd_runs_parked", Gauge, "runs", []string{"reason"}, "Runs that wait for a person: uncertain (nobody knows whether a step took effect), held (ran too often), broken (its record can't be followed)"},

		QueueReady:   {"playbookd_queue_ready", Gauge, "runs", nil, "Runs that have something to do, those that workers drive included"},
		QueueBlocked: {"playbookd_queue_blocked", Gauge, "runs", nil, "Runs that wait for an older one with the same concurrency key"},
		QueueAge:     {"playbookd_queue_age_seconds", Gauge, "seconds", nil, "Age of the oldest run that has something to do; 0 if there is none"},
		Workers:      {"playbookd_workers", Gauge, "workers", nil, "Workers there are"},
		WorkersBusy:  {"playbookd_workers_busy", Gauge, "workers", nil, "Workers that drive a run"},

		Attempts:        {"playbookd_attempts_total", Counter, "attempts", []string{"action", "effect", "ending"}, "Attempts of actions by effect class and ending: ok; refused (certainly no effect); unknown (nobody knows); found and absent are the answers of a probe; panicked"},
		AttemptDuration: {"playbookd_attempt_duration_seconds", Histogram, "seconds", []string{"action"}, "How long attempts took, probes included"},
		Outcomes:        {"playbookd_step_outcomes_total", Counter, "outcomes", outcome, "Recorded outcomes of steps: ok; fault; absent (a probe found that nothing had happened); dry (a playbook in shadow mode)"},
		Retries:         {"playbookd_step_retries_total", Counter, "attempts", nil, "Recorded outcomes of attempts that were not the first of their part"},
		OutcomesKept:    {"playbookd_step_outcomes_unrecorded", Gauge, "outcomes", nil, "Runs whose last outcome waits in memory because the journal can't be written"},

		CommitSize:     {"playbookd_journal_commit_writes", Histogram, "writes", nil, "How many writes shared one transaction"},
		CommitDuration: {"playbookd_journal_commit_duration_seconds", Histogram, "seconds", nil, "How long a transaction took, the disk's confirmation included"},
		CommitsFailed:  {"playbookd_journal_writes_failed_total", Counter, "writes", nil, "Writes that were answered with an error; nothing of them is stored"},
		LastCommit:     {"playbookd_journal_last_commit_timestamp_seconds", Gauge, "seconds", nil, "When something was last committed"},
		JournalBytes:   {"playbookd_journal_size_bytes", Gauge, "bytes", []string{"file"}, "Size of the database and of its write-ahead log on disk"},

		GraphRequests:    {"playbookd_graph_requests_total", Counter, "requests", []string{"tenant", "class", "answer"}, "Requests that left for Graph by answer: 2xx, 3xx, 4xx, 429, 5xx; dropped is no answer"},
		GraphRefused:     {"playbookd_graph_requests_refused_total", Counter, "requests", class, "Requests that were not sent, because Graph asked for a pause or the budget was used up"},
		GraphDuration:    {"playbookd_graph_request_duration_seconds", Histogram, "seconds", class, "How long Graph took to answer, time in our own queue not included"},
		GraphInFlight:    {"playbookd_graph_requests_in_flight", Gauge, "requests", class, "Requests that Graph has not answered yet"},
		GraphWaiting:     {"playbookd_graph_requests_waiting", Gauge, "requests", class, "Requests that wait for a place, for the budget or for the end of a pause"},
		GraphBudgetLeft:  {"playbookd_graph_budget_left_requests", Gauge, "requests", class, "Requests that may be sent at once now"},
		GraphBudgetBurst: {"playbookd_graph_budget_burst_requests", Gauge, "requests", class, "Requests that may be sent at once after a quiet time"},
		GraphPauseLeft:   {"playbookd_graph_pause_left_seconds", Gauge, "seconds", class, "What is left of the pause that Graph asked for; 0 if there is none"},
		GraphLastSuccess: {"playbookd_graph_last_success_timestamp_seconds", Gauge, "seconds", class, "When Graph last gave a good answer; 0 if it has not since the start"},

		Polls:           {"playbookd_polls_total", Counter, "polls", []string{"tenant", "resource", "outcome"}, "Polls by outcome: ok, failed"},
		PollLastSuccess: {"playbookd_poll_last_success_timestamp_seconds", Gauge, "seconds", poll, "When a poll last read all that there was; 0 if none has since the start"},
		PollFailures:    {"playbookd_poll_failures", Gauge, "polls", poll, "Polls that failed since the last that did not"},
		PollInterval:    {"playbookd_poll_interval_seconds", Gauge, "seconds", poll, "How often the loaded playbooks want it polled"},
		PollPasses:      {"playbookd_poll_passes_total", Counter, "passes", poll, "How often a window of changes was read from its first page to its last, sweeps included"},
		PollPages:       {"playbookd_poll_pages_total", Counter, "pages", poll, "Pages of Graph's answers read in these passes, those of passes that broke off included"},
		PollObjects:     {"playbookd_poll_objects_total", Counter, "objects", poll, "Objects read in these passes"},
		PollOverlap:     {"playbookd_poll_overlap_seconds", Gauge, "seconds", poll, "How far a poll looks back behind its position; it widens when objects surface later"},

		WebhookRequests: {"playbookd_webhook_requests_total", Counter, "requests", []string{"hook", "status"}, "Requests to webhooks by answer; those to webhooks that do not exist have no hook"},
		Slots:           {"playbookd_schedule_slots_total", Counter, "slots", outcome, "Slots of schedules: fired; missed (stretches that passed while nobody looked, and were skipped)"},
		Schedules:       {"playbookd_schedules", Gauge, "schedules", []string{"state"}, "Schedules: ok; held (the clock is behind what the schedule has dealt with); failing"},
		Clocks:          {"playbookd_clocks", Gauge, "clocks", []string{"state"}, "Clocks of sla triggers: running, paused. Their stages that fired are the admitted events of the sources sla/PLAYBOOK"},

		Reloads:         {"playbookd_reloads_total", Counter, "reloads", outcome, "Readings of playbooks, watchlists and calendars: ok; broken (some files keep what they held before); refused (nothing was taken over)"},
		LastReload:      {"playbookd_reload_last_timestamp_seconds", Gauge, "seconds", nil, "When playbooks, watchlists and calendars were last read"},
		PlaybooksLoaded: {"playbookd_playbooks", Gauge, "playbooks", nil, "Playbooks in use"},
		Findings:        {"playbookd_findings", Gauge, "findings", []string{"severity"}, "What is wrong with the files, as check has it"},

		CheckOK:   {"playbookd_check_ok", Gauge, "", []string{"check"}, "1 if a check of /healthz or /readyz is well, else 0; the page says why"},
		LogLines:  {"playbookd_log_lines_total", Counter, "lines", []string{"level"}, "Lines written to the log; at level error a person should look"},
		BuildInfo: {"playbookd_build_info", Gauge, "", []string{"version", "goversion"}, "1; what this program was built from"},
	}
}

// MetricsPage is docs/metrics.md's list.
func MetricsPage() []byte {
	var b bytes.Buffer
	b.WriteString("| metric | type | unit | labels | what it is |\n|---|---|---|---|---|\n")
	for _, r := range Table() {
		labels := make([]string, len(r.Labels))
		for i, l := range r.Labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Name, r.Kind, r.Unit, strings.Join(labels, ", "), r.Help)
	}
	return b.Bytes()
}
