package playbooks

import "github.com/playbookd/playbookd/internal/diag"

// The codes of findings about playbooks. PB020 to PB079 belong to this package; a code that was
// released never means anything else.
const (
	codeUnknownKey     = "PB020"
	codeNotYet         = "PB021"
	codeMissing        = "PB022"
	codeKind           = "PB023"
	codeLimit          = "PB024"
	codeDuration       = "PB025"
	codeName           = "PB026"
	codeWord           = "PB027"
	codeDate           = "PB028"
	codeConflict       = "PB029"
	codeExpression     = "PB030"
	codePhase          = "PB031"
	codeSecret         = "PB032"
	codeUnknownAction  = "PB033"
	codeInput          = "PB034"
	codeInputType      = "PB035"
	codeLaterStep      = "PB036"
	codeUnknownName    = "PB037"
	codeUnusedID       = "PB038"
	codeUnreachable    = "PB039"
	codeUnknownList    = "PB040"
	codeSubject        = "PB041"
	codeFilterSyntax   = "PB042"
	codeFilterProperty = "PB043"
	codeFilterLiteral  = "PB044"
	codeSchedule       = "PB045"
	codeUnowned        = "PB046"
	codeExpiry         = "PB047"
	codeRetired        = "PB048"
	codePair           = "PB049"
	codeDuplicate      = "PB050"
	codeWebhook        = "PB051"
	codeFile           = "PB052"
	codeExpand         = "PB053"
	codeCall           = "PB054"
	codeCycle          = "PB055"
	codeBare           = "PB059"
	codeConstant       = "PB060"
	codeExcluded       = "PB061"
	codeRepeats        = "PB062"
	codeRivals         = "PB063"
	codeUnusedName     = "PB064"
	codeUnknownRota    = "PB065"
	codeRate           = "PB056"
	codeAwaited        = "PB057"
	codeRunLoop        = "PB058"
	codeCalendar       = "PB070"
	codeStage          = "PB071"
)

// Codes explains every finding that this package reports.
func Codes() []diag.Code { return append(formCodes(), meaningCodes()...) }

// formCodes are about how a playbook is written.
func formCodes() []diag.Code {
	return []diag.Code{
		{Code: codeUnknownKey, Title: "The key is not known", Severity: diag.Error,
			Help: "The language has no such key at this place. A key that nobody reads would be a playbook that does less than it says, so it is refused. Most often it is misspelt, or stands at the wrong depth."},
		{Code: codeNotYet, Title: "Not supported yet", Severity: diag.Error,
			Help: "The playbook language has this construct, but this version of playbookd does not. It is refused because a playbook must never do less than it says. The finding says how to get by without it, where there is a way."},
		{Code: codeMissing, Title: "Something is missing", Severity: diag.Error,
			Help: "A key, a step or a list entry without which the playbook has no meaning is not there."},
		{Code: codeKind, Title: "Another kind of value is needed", Severity: diag.Error,
			Help: "A text stands where a list belongs, a number where a text belongs, and so on. YAML decides by how a value is written: 10 is a number and \"10\" is text, - starts an entry of a list, and key: starts a map."},
		{Code: codeLimit, Title: "Beyond a limit", Severity: diag.Error,
			Help: "Everything in a playbook has a limit, so that no file can make the daemon slow or large, and no typing error (1000 instead of 10) can make it act more than anybody meant. The limits are listed in the reference."},
		{Code: codeDuration, Title: "Not a duration", Severity: diag.Error,
			Help: "Times are whole numbers with a unit, the largest unit first: 30s, 5m, 1h30m, 7d. A number alone is refused because nobody can see whether seconds or minutes are meant."},
		{Code: codeRate, Title: "Not a number within a time", Severity: diag.Error,
			Help: "Limits are written as a number, a slash and a time: 50/1h lets fifty through within any hour. The time slides: it reaches back from each moment, and does not begin anew at the full hour."},
		{Code: codeName, Title: "Not a name that can be used here", Severity: diag.Error,
			Help: "Playbooks and webhooks have names in kebab-case (close-scanner-alerts), because they are parts of addresses. Steps, variables, inputs and items have names of letters, digits and _, because expressions use them. A name that means something already cannot be taken."},
		{Code: codeWord, Title: "Not one of the words allowed", Severity: diag.Error,
			Help: "The key takes one of a few words, and this is none of them."},
		{Code: codeDate, Title: "Not a date", Severity: diag.Error,
			Help: "expires is a day (2027-03-31, which begins at midnight UTC) or a time with a zone (2027-03-31T18:00:00Z). From then on the playbook no longer acts."},
		{Code: codeConflict, Title: "Two things that exclude each other", Severity: diag.Error,
			Help: "Two keys or values contradict each other, and playbookd does not guess which of them is meant."},
		{Code: codeExpression, Title: "The expression is wrong", Severity: diag.Error,
			Help: "The expression cannot be read, names something that does not exist, or compares values that are never equal. Names, fields and types are checked when the playbook is loaded, so that a misspelt field is found now and not on the night it matters."},
		{Code: codePhase, Title: "The value does not exist yet at this place", Severity: diag.Error,
			Help: "when, concurrency and dedupe decide whether a run starts. vars, steps, run, inputs and last belong to a run, so they have no value there: use the event, lists, tenant and playbook. failure has a value in the steps of an on_error only, change in playbooks with a change trigger only."},
		{Code: codeSecret, Title: "A secret in the wrong place", Severity: diag.Error,
			Help: "A secret may stand only where an action declares a field for it, as the whole value: ${{ secrets.NAME }}. The run then carries its name, and only the action sees its text. In an expression, a message or a condition a secret would end up in records and logs, so it is refused there. The text of a secret never stands in a playbook."},
		{Code: codeDuplicate, Title: "Given twice", Severity: diag.Error,
			Help: "Two playbooks, steps, triggers or entries have the same name. Which of them counts would be chance."},
		{Code: codeFile, Title: "The file cannot be used", Severity: diag.Error,
			Help: "A file or directory below the playbooks' root cannot be read, is a link, or is one too many. Links are not followed, because they may lead out of the directory that was reviewed."},
	}
}

// meaningCodes are about what a playbook means.
func meaningCodes() []diag.Code {
	return []diag.Code{
		{Code: codeUnknownAction, Title: "There is no such action", Severity: diag.Error,
			Help: "The step calls an action that this version does not have. `playbookd actions` lists all of them with their inputs."},
		{Code: codeInput, Title: "The input does not fit the action", Severity: diag.Error,
			Help: "What stands under with is checked against the action's declaration: unknown and missing fields, values of the wrong type, values that are not allowed together. Values that expressions will give are checked again when the step runs. `playbookd actions NAME` shows the fields."},
		{Code: codeInputType, Title: "The expression's type does not fit the field", Severity: diag.Error,
			Help: "The type of the expression is known when the playbook is loaded, and the field never takes it: a list for a text, a time for a number. The step would fail each time it runs."},
		{Code: codeLaterStep, Title: "The step has no result at this place", Severity: diag.Error,
			Help: "A step can be read by those that come after it. Steps of a foreach can be read inside of it only, because outside there is one for each item: steps.ID.items of the foreach holds a row for each."},
		{Code: codeUnknownName, Title: "There is no such name", Severity: diag.Error,
			Help: "The expression names a step, variable or input that the playbook does not have, a change trigger a field that the object does not have, or a limit an action that no step calls."},
		{Code: codeUnusedID, Title: "The id is not used", Severity: diag.Warning,
			Help: "Nothing reads steps.ID. That is harmless, but often the sign of a reference that was forgotten or goes to another step."},
		{Code: codeUnreachable, Title: "The step is never reached", Severity: diag.Error,
			Help: "A stop or fail before it ends the run in every case, or the conditions on the way to it cannot hold together: when says that an alert is new, and the step is for those that are resolved; a case of a switch asks for what one above it takes already. In the target of an sla trigger: a row above it always holds."},
		{Code: codeUnknownList, Title: "There is no such watchlist", Severity: diag.Error,
			Help: "lists.NAME reads the watchlist of that name. A name that is misspelt would be an empty list and a condition that never holds, or always."},
		{Code: codeUnknownRota, Title: "There is no such rota", Severity: diag.Error,
			Help: "onDuty() asks the rota of that name, a file rotas/NAME.yaml. A name that is misspelt would leave nobody on duty."},
		{Code: codeBare, Title: "Text from outside without quotes", Severity: diag.Error,
			Help: "The field is text of another language: a query, a filter, an address, markup. What an attacker writes into an alert's title would be read as code there. The function of that language makes one literal of any value: kql(x), odata(x), url(x), html(x). Numbers, times, and names that only the author gives need none. Where a variable is all of the field, the text that it is given is asked for quotes in its place."},
		{Code: codeSubject, Title: "The triggers bring something else", Severity: diag.Error,
			Help: "All triggers of a playbook bring the same kind of event, and expressions name it so: alert, incident or event. Make two playbooks if both are needed."},
		{Code: codeFilterSyntax, Title: "The filter cannot be read", Severity: diag.Error,
			Help: "A poll's filter is sent to Graph as $filter. It is OData: comparisons with eq, ne, gt, ge, lt, le or in, joined by and, or, not and parentheses, with texts and enum values in single quotes. What Graph cannot filter belongs into when."},
		{Code: codeFilterProperty, Title: "Graph does not filter by this property", Severity: diag.Error,
			Help: "Graph filters alerts by assignedTo, classification, determination, createdDateTime, lastUpdateDateTime, severity, serviceSource and status, and incidents by the same without serviceSource. Anything else is answered with an error. Conditions on other properties belong into when."},
		{Code: codeFilterLiteral, Title: "The property is never equal to this", Severity: diag.Error,
			Help: "The filter compares a property with a value that it never has, so it would find nothing, or everything; or a change trigger waits for a value that the field never has. Graph's words often differ from those of the portal and of the retired alert API: the highest severity is high, a new alert is new and not newAlert."},
		{Code: codeSchedule, Title: "Not a schedule", Severity: diag.Error,
			Help: "cron has five fields: minute, hour, day of the month, month, weekday. timezone is a name of the time zone database, such as Europe/Berlin, or UTC."},
		{Code: codeUnowned, Title: "A playbook that closes alerts without owner, reason and expires", Severity: diag.Error,
			Help: "A rule that closes alerts hides them, and most of those that once were right no longer are. So a live playbook that resolves, or classifies as false positive or expected, says who answers for it (owner), why it is right (reason) and until when (expires). In mode: shadow it may do without while it is being tried."},
		{Code: codeExpiry, Title: "Expired, or soon to expire", Severity: diag.Warning,
			Help: "From its expires date on a playbook no longer acts; its events are recorded as skipped. Two weeks before, check begins to warn."},
		{Code: codeRetired, Title: "A value that Defender has retired", Severity: diag.Error,
			Help: "The determinations apt and securityPersonnel are still in Graph's metadata, and old alerts have them, but Defender no longer takes them."},
		{Code: codePair, Title: "Classification and determination do not go together", Severity: diag.Error,
			Help: "Each determination belongs to one classification or two: falsePositive goes with notMalicious, notEnoughDataToValidate and other. Graph takes any pair, and the portal then shows an alert that its reports count nowhere."},
		{Code: codeWebhook, Title: "One webhook with two meanings", Severity: diag.Error,
			Help: "Several playbooks may listen to one webhook, if all of them declare the same auth and as. Otherwise the weaker proof would open the door for both."},
		{Code: codeCall, Title: "The playbook that is called cannot be used", Severity: diag.Error,
			Help: "A step calls another playbook by its name. It must be in the same set, without mistakes of its own. What it is given stands under with and is declared as the inputs of its manual trigger; what it gives back are its outputs."},
		{Code: codeCycle, Title: "A playbook that calls itself", Severity: diag.Error,
			Help: "Following the calls from playbook to playbook leads back to where it began, so a run would never end. Loops belong into foreach, or into a wait with a condition."},
		{Code: codeConstant, Title: "A condition that never changes", Severity: diag.Error,
			Help: "Whatever the event holds, the condition, or a part of it, comes out the same: alert.severity == \"high\" and alert.severity == \"low\" is never true, and with != and or it always is. Most often an and stands where an or is meant, or the other way round. A whole condition that is never true is an error, because nothing depends on it can ever happen; the rest are warnings. To switch a playbook off write enabled: false."},
		{Code: codeExcluded, Title: "The filter and the condition exclude each other", Severity: diag.Error,
			Help: "What the poll's filter lets through never meets when, so the playbook never runs: filter asks for severity eq 'low', and when for alert.severity == \"high\"."},
		{Code: codeRepeats, Title: "The condition still holds after the steps", Severity: diag.Warning,
			Help: "The playbook writes to the alert or incident that started it, and none of its steps makes its condition false. It knows its own changes and does not run because of them, but with every later change by somebody else it runs again: it comments again, or sets again what a person has changed since. Say how often it may act: on: created in the poll takes only the first version of each object, dedupe allows one run for each key and window. Or let the condition ask for what the steps change: alert.status == \"new\" where they set status: inProgress."},
		{Code: codeRivals, Title: "Two playbooks of one priority write the same field", Severity: diag.Warning,
			Help: "Both can match the same alert or incident, and give a field different values. Which of them comes last is chance. Give the one that should be considered first a higher priority and let its change exclude the other, or make the conditions exclude each other."},
		{Code: codeUnusedName, Title: "The variable or input is not used", Severity: diag.Warning,
			Help: "Nothing reads vars.NAME or inputs.NAME. That is harmless, but often the sign of a reference that was forgotten, or goes to another name."},
		{Code: codeAwaited, Title: "There is no playbook whose runs could end", Severity: diag.Error,
			Help: "A run trigger waits for the end of another playbook's runs and names it. It must be in the same set, without mistakes of its own: a name that is misspelt would be a trigger that never fires."},
		{Code: codeRunLoop, Title: "Playbooks that start each other", Severity: diag.Error,
			Help: "Following the run triggers from playbook to playbook leads back to where it began: the end of each run would start the next one, for ever. That some states do not lead on is not looked at: which state a run ends in is for nobody to promise."},
		{Code: codeCalendar, Title: "There is no such calendar", Severity: diag.Error,
			Help: "A calendar is a file NAME.yaml in the directory of the calendars, by default calendars beside the configuration: timezone, hours, holidays, exceptions. The clock of an sla trigger and the functions businessElapsed, businessAdd and inBusinessHours name one. The name is written out, so that a run keeps the calendar that it was decided by."},
		{Code: codeStage, Title: "Not a stage of a clock", Severity: diag.Error,
			Help: "The stages of an sla trigger say when the playbook acts: at a part of the target (75%, 200%) or at a time after the start (45m). They are written in the order in which they come, for every target; each fires once for each object, and when several are due at once only the last of them does."},
		{Code: codeExpand, Title: "The incident comes without its alerts", Severity: diag.Warning,
			Help: "Incidents are polled without their alerts unless the poll says expand: alerts. Without, incident.alerts is empty, and so are ips(incident), devices(incident) and their like."},
	}
}
