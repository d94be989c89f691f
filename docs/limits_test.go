package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/actions/hunting"
	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/graph"
	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/internal/document"
	"github.com/playbookd/playbookd/internal/guard"
	"github.com/playbookd/playbookd/internal/secret"
	"github.com/playbookd/playbookd/playbooks"
	"github.com/playbookd/playbookd/playbooks/calendar"
	"github.com/playbookd/playbookd/playbooks/expression"
	"github.com/playbookd/playbookd/playbooks/playtest"
	"github.com/playbookd/playbookd/playbooks/rota"
	"github.com/playbookd/playbookd/playbooks/watchlist"
	"github.com/playbookd/playbookd/server"
	"github.com/playbookd/playbookd/store"
	"github.com/playbookd/playbookd/triggers"
)

// limit is a constant of the program in the words of a user. It is a number or a time.Duration.
type limit struct {
	what  string
	value any
}

type limits struct {
	title string
	rows  []limit
}

// size is a number of bytes.
type size int64

func (v limit) String() string {
	switch n := v.value.(type) {
	case time.Duration:
		return playbooks.FormatDuration(n)
	case size:
		switch {
		case n >= 1<<20 && n%(1<<20) == 0:
			return fmt.Sprintf("%d MiB", n>>20)
		case n >= 1<<10 && n%(1<<10) == 0:
			return fmt.Sprintf("%d KiB", n>>10)
		}
		return grouped(int(n)) + " bytes"
	case int:
		return grouped(n)
	}
	return fmt.Sprint(v.value)
}

// grouped writes 10000 as 10,000.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func ofPlaybooks() []limits {
	return []limits{
		{"A playbook", []limit{
			{"size of the file", size(document.MaxSize)},
			{"maps and lists inside each other", document.MaxDepth},
			{"characters of the name", playbooks.MaxNameLength},
			{"characters of an id, a variable, an input, a tag, a tenant", playbooks.MaxIdentifier},
			{"characters of description, owner, reason, a step's name", playbooks.MaxTextLength},
			{"tags", playbooks.MaxTags},
			{"tenants", playbooks.MaxTenants},
			{"priority, and its negative", playbooks.MaxPriority},
			{"triggers", playbooks.MaxTriggers},
			{"inputs", playbooks.MaxInputs},
			{"values of an enum", playbooks.MaxEnumValues},
			{"vars", playbooks.MaxVars},
			{"outputs", playbooks.MaxOutputs},
			{"steps, at every depth together", playbooks.MaxSteps},
			{"lists of steps inside each other", playbooks.MaxStepDepth},
			{"foreach inside foreach", playbooks.MaxForeachDepth},
			{"cases of a switch", playbooks.MaxCases},
			{"branches of a parallel", playbooks.MaxBranches},
			{"items of a foreach", engine.MaxItems},
			{"items of a foreach worked on at a time", playbooks.MaxItemsConcurrency},
			{"attempts of a retry", playbooks.MaxAttempts},
			{"shortest and first pause of a retry", playbooks.MinBackoff},
			{"longest pause of a retry", playbooks.MaxBackoff},
			{"shortest time-out of an attempt", playbooks.MinTimeout},
			{"longest time-out of an attempt", playbooks.MaxTimeout},
			{"shortest wait", playbooks.MinWait},
			{"longest wait, also for an answer", playbooks.MaxWait},
			{"shortest time between two looks of a wait with a condition", playbooks.MinWaitEvery},
			{"looks of a wait with a condition", playbooks.MaxWaitRounds},
			{"shortest await", playbooks.MinAwait},
			{"longest await", playbooks.MaxAwait},
			{"playbooks that call each other, inside each other", playbooks.MaxCallDepth},
			{"text that a run keeps: its playbook, and all that it calls", size(playbooks.MaxRecorded)},
			{"shortest dedupe window", playbooks.MinDedupeWindow},
			{"longest dedupe window", playbooks.MaxDedupeWindow},
			{"playbooks whose runs one run trigger waits for", playbooks.MaxEndedPlaybooks},
			{"values of from or to of a change trigger", playbooks.MaxEnumValues},
			{"actions under limits.effects", playbooks.MaxLimitedActions},
			{"runs or effects that a limit may let through", playbooks.MaxRate},
			{"shortest time of a limit", playbooks.MinRateWindow},
			{"longest time of a limit", playbooks.MaxRateWindow},
			{"shortest time between polls", playbooks.MinPollEvery},
			{"longest time between polls", playbooks.MaxPollEvery},
			{"characters of a webhook's path", playbooks.MaxWebhookPath},
			{"rows of the target of an sla trigger", playbooks.MaxTargets},
			{"shortest target, and stage as a time", playbooks.MinWithin},
			{"longest target, and stage as a time", playbooks.MaxWithin},
			{"stages of an sla trigger", playbooks.MaxStages},
			{"percent of the target at which a stage is reached", playbooks.MaxStagePercent},
			{"characters of a poll's filter", playbooks.MaxFilterLength},
			{"parentheses inside each other in a filter", playbooks.MaxFilterDepth},
			{"comparisons of a filter", playbooks.MaxFilterComparisons},
			{"time before its expiry from which check warns", playbooks.ExpiresSoon},
			{"looks at parts of conditions, to find out what they exclude; beyond it check says nothing more about them", playbooks.MaxLooks},
			{"output of an attempt", size(engine.MaxOutput)},
			{"entries that one decision adds to the record; more follow in the next one", engine.MaxRecord},
			{"characters of a comment, marker included", actions.MaxMarked},
			{"longest pause between two looks at what is awaited", engine.AwaitPause},
			{"rows of a hunting query, if the step does not say", hunting.DefaultRows},
			{"rows of a hunting query", hunting.MaxRows},
			{"size of all rows of a hunting query", size(hunting.MaxRowsBytes)},
		}},
		{"A question to people", []limit{
			{"different people that one approve may need", playbooks.MaxApprovers},
			{"entries of by", playbooks.MaxAskedPeople},
			{"channels", playbooks.MaxAskChannels},
			{"choices", playbooks.MaxChoices},
			{"shortest time to answer", playbooks.MinAsk},
			{"characters of the title as people see it; more is cut, with …", engine.MaxQuestionTitle},
			{"characters of the details as people see them; more is cut, with …", engine.MaxQuestionDetails},
			{"size of an answer", size(engine.MaxAnswer)},
		}},
		{"Tests beside playbooks", []limit{
			{"tests of a file", playtest.MaxCases},
			{"mocks of a test", playtest.MaxMocks},
			{"answers of a test", playtest.MaxAnswers},
			{"expectations of a test", playtest.MaxExpects},
			{"updates of the object of a test", playtest.MaxUpdates},
			{"decisions of a test's run", playtest.MaxTurns},
			{"size of an event's file", size(playtest.MaxEventSize)},
		}},
		{"A set of playbooks and lists", []limit{
			{"entries looked at below the directory", playbooks.MaxFiles},
			{"directories inside each other", playbooks.MaxFileDepth},
			{"looks at parts of conditions, to find out which playbooks can match one object", playbooks.MaxSetLooks},
			{"watchlists", watchlist.MaxLists},
			{"entries of a watchlist", watchlist.MaxEntries},
			{"size of an entry", size(watchlist.MaxEntry)},
			{"calendars", calendar.MaxCalendars},
			{"spans of hours in a day of a calendar", calendar.MaxSpans},
			{"holidays of a calendar, those from files too", calendar.MaxHolidays},
			{"exceptions of a calendar", calendar.MaxExceptions},
			{"size of an iCalendar file", size(calendar.MaxFile)},
			{"how far business time is looked for", calendar.MaxAhead},
			{"columns of a watchlist in CSV", watchlist.MaxColumns},
			{"rotas", rota.MaxRotas},
			{"shifts of a rota", rota.MaxShifts},
			{"members of a shift", rota.MaxMembers},
			{"overrides of a rota", rota.MaxOverrides},
			{"days of a turn", rota.MaxEvery},
			{"margin before the end of a turn", rota.MaxMargin},
			{"size of a member's name", size(rota.MaxWho)},
		}},
		{"What playbooks ask and remember", []limit{
			{"different questions of one evaluation", engine.MaxReadings},
			{"shortest window of seen() and history()", playbooks.MinWindow},
			{"longest window of seen() and history()", playbooks.MaxWindow},
			{"size of a key; of a longer one its hash is used", size(engine.MaxKey)},
			{"what history() counts to", playbooks.MaxHistory},
			{"values of one field of history()", playbooks.MaxHistoryValues},
			{"objects that history() with several fields or several values looks at, the newest first", engine.MaxHistoryScan},
			{"values of one event that are indexed", engine.MaxTraits},
			{"stored events that are indexed when a playbook begins to ask", engine.MaxBackfill},
			{"people of leastLoaded()", playbooks.MaxPeople},
			{"keys of the state of a playbook, for each tenant", engine.MaxStateKeys},
			{"size of a value of the state", size(engine.MaxStateValue)},
			{"values of the state that one step sets", playbooks.MaxStateWrites},
			{"shortest time for which a value is kept", playbooks.MinStateFor},
			{"longest time for which a value is kept", playbooks.MaxStateFor},
			{"the same, if the step does not say", playbooks.DefaultStateFor},
			{"pause before a question is asked again that the journal could not answer", engine.ReadPause},
		}},
		{"An expression", []limit{
			{"size", size(expression.MaxSource)},
			{"size of a text with expressions in it", size(expression.MaxTemplate)},
			{"names, constants, operators and calls", expression.MaxNodes},
			{"nesting", expression.MaxNesting},
			{"numbers of a range", expression.MaxRange},
			{"product of the sizes of loops inside each other", expression.MaxCost},
			{"time between the two moments of businessElapsed", expression.MaxBusinessSpan},
			{"steps of one evaluation", expression.MaxWork},
			{"text made by one evaluation", size(expression.MaxBytes)},
			{"size of an event", size(expression.MaxPayload)},
			{"items of a list in an event", expression.MaxItems},
			{"nesting of an event", expression.MaxDepth},
		}},
	}
}

func ofTheDaemon() []limits {
	return []limits{
		{"Polls and schedules", []limit{
			{"how often one window is read before the position stays", triggers.MaxPasses},
			{"how far the overlap widens by itself", triggers.MaxOverlap},
			{"how old a slot may be and still count as on time", triggers.Grace},
			{"shortest @every", triggers.MinInterval},
			{"how far ahead of the machine's clock the time of an object's version may be and still move a clock", engine.MaxAhead},
		}},
		{"Webhooks and the listener", []limit{
			{"size of a body", size(triggers.MaxBody)},
			{"events in a body", triggers.MaxItems},
			{"nesting of a body", triggers.MaxDepth},
			{"characters of a delivery's id", triggers.MaxDeliveryID},
			{"bytes that a key needs at least", triggers.MinKey},
			{"distance of a signed timestamp from our clock", triggers.Tolerance},
			{"requests of one hook in a second, if the configuration does not say", triggers.HookRate},
			{"requests of one hook in a second", config.MaxHookRate},
			{"requests of one hook at once after a quiet time, if the configuration does not say", triggers.HookBurst},
			{"requests of one hook at once after a quiet time", config.MaxHookBurst},
			{"requests of one hook worked on at a time, if the configuration does not say", triggers.HookConcurrent},
			{"requests of one hook worked on at a time", config.MaxHookConcurrent},
			{"time for a body to arrive", triggers.BodyTimeout},
			{"the same, when others wait for its place", triggers.SlowAfter},
			{"connections", server.MaxConnections},
			{"size of headers", size(server.MaxHeaderBytes)},
		}},
		{"Requests to Graph and Defender", []limit{
			{"size of an answer", size(graph.MaxAnswerBytes)},
			{"pages of one listing", graph.MaxPages},
			{"alerts of one move, incidents of one merge", graph.MaxMoved},
			{"longest wait for the budget of a class", graph.MaxBudgetWait},
			{"longest Retry-After that is believed", graph.MaxRetryAfter},
			{"time of one exchange", graph.RequestTimeout},
			{"the same, of a hunting query", graph.HuntingTimeout},
			{"characters of a hunting query", graph.MaxQueryLength},
		}},
		{"Other outgoing requests", []limit{
			{"size of an answer", size(guard.DefaultMaxResponse)},
			{"time of one request, with its redirects", guard.DefaultTimeout},
			{"redirects, on the same host only", guard.DefaultRedirects},
		}},
		{"The daemon", []limit{
			{"tenants", config.MaxTenants},
			{"workers, if the configuration does not say", engine.DefaultWorkers},
			{"workers", config.MaxWorkers},
			{"shortest retention", config.MinRetention},
			{"shortest time between backups", config.MinBackup},
			{"backups that are kept", config.MaxBackups},
			{"room that a backup leaves on the disk", size(store.BackupReserve)},
			{"size up to which the journal is examined before the start; a larger one is examined after it", size(store.CheckAtOpen)},
			{"how long a pushed event waits for a worker, so that its run begins with it", engine.Patience},
			{"time for attempts in flight when it stops", engine.Grace},
			{"longest pause between tries to record an outcome", engine.KeepPause},
			{"live runs of one playbook for one object, if the configuration does not say", engine.CeilingRuns},
			{"time within which they are counted, if the configuration does not say", engine.CeilingWithin},
			{"live runs of one playbook for one object", config.MaxCeiling},
			{"time within which they are counted", config.MaxCeilingWithin},
			{"how long own writes are remembered, to tell echoes", engine.EchoWindow},
			{"events admitted at a time", engine.MaxBatch},
			{"how often they are decided about anew because others came in between", engine.MaxLooks},
		}},
		{"People", []limit{
			{"people", config.MaxPeople},
			{"roles of a person", config.MaxRoles},
			{"fewest characters of a token", server.MinToken},
			{"time for which a token that was read is good", secret.RecentAge},
			{"size of a request", size(server.MaxDeskBody)},
			{"time of recording what a person says", server.DeskTimeout},
			{"runs whose open questions are listed; how many more ask is said", daemon.MaxApprovals},
			{"characters of a comment, note or reason that are kept; more is cut, with …", engine.MaxAnswerComment},
		}},
		{"Health and metrics", []limit{
			{"time of one check", server.CheckTimeout},
			{"time for which its result is shown again", server.CheckAge},
			{"failed polls in a row, and intervals without a good one, until a poll is late", daemon.LateAfter},
			{"what a poll may take beyond them", daemon.LateSlack},
			{"time without progress until the engine counts as stalled", daemon.StallAfter},
			{"how far the clock may be behind the journal", daemon.ClockSlack},
			{"time between two heartbeats in the journal", daemon.BeatEvery},
			{"playbooks with metrics of their own; the rest is `other`", daemon.MaxCountedPlaybooks},
			{"pairs of tenant and source with metrics of their own", daemon.MaxCountedSources},
			{"pairs of webhook and status with metrics of their own", triggers.MaxHookCounts},
			{"parked runs looked at to tell why they are", daemon.MaxParkedRead},
			{"readers of `/metrics` at a time", server.MaxScrapes},
			{"time of reading `/metrics`", server.ScrapeTimeout},
			{"time of recording a profile", server.MaxProfile},
		}},
	}
}

// limited are the packages whose limits concern somebody who writes a playbook.
func limited() []string {
	return []string{"playbooks", "playbooks/expression", "playbooks/watchlist", "playbooks/calendar", "playbooks/playtest", "internal/document", "engine"}
}

var limitName = regexp.MustCompile("^(Max|Min)[A-Z]")

func TestEveryLimitIsOnThePageAndTested(t *testing.T) {
	t.Parallel()
	shown, tested := namesIn(t, "limits_test.go"), map[string]bool{
		"playbooks.MaxPlaybookSize": true, // which is document.MaxSize
	}
	shown["playbooks.MaxPlaybookSize"] = true
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") && path != "../docs/limits_test.go" {
			maps.Copy(tested, namesIn(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, pkg := range limited() {
		for _, name := range limitsOf(t, filepath.Join("..", pkg)) {
			found++
			if !shown[name] {
				t.Errorf("limits.md does not show %s", name)
			}
			if !tested[name] {
				t.Errorf("no test holds to %s, at it and beyond it", name)
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d limits", found)
	}
}

// namesIn are the limits that a file of ours names, as package.Name.
func namesIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range regexp.MustCompile(`\b[a-z]+\.(Max|Min)[A-Z]\w*`).FindAllString(string(text), -1) {
		names[name] = true
	}
	return names
}

// limitsOf are the limits that a package declares.
func limitsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				for _, spec := range decl.Specs {
					for _, id := range spec.(*ast.ValueSpec).Names {
						if limitName.MatchString(id.Name) {
							names = append(names, filepath.Base(dir)+"."+id.Name)
						}
					}
				}
			}
			return true
		})
	}
	return names
}

func limitsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Limits\n\nEverything has a limit, so that no file, no alert and no answer can make the daemon slow or large. " +
		"This page is made\nfrom the constants that enforce them. Beyond a limit something is refused, with a message that names it; " +
		"nothing is cut\nwithout saying so.\n")
	for _, group := range append(ofPlaybooks(), ofTheDaemon()...) {
		fmt.Fprintf(&b, "\n## %s\n\n| | limit |\n|---|---|\n", group.title)
		for _, row := range group.rows {
			fmt.Fprintf(&b, "| %s | %s |\n", row.what, row)
		}
	}
	b.WriteString("\n## Budgets\n\nHow much of Graph one tenant uses, by class of requests. `budgets` in the configuration changes them; a tenth of the\nrequests may then be sent at once.\n\n| class | requests | in | at once from rest | in flight |\n|---|---|---|---|---|\n")
	budgets := graph.DefaultBudgets()
	for _, class := range slices.Sorted(maps.Keys(budgets)) {
		x := budgets[class]
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d |\n", class, grouped(x.Requests), playbooks.FormatDuration(x.Per), x.Burst, x.Concurrent)
	}
	return b.Bytes()
}
