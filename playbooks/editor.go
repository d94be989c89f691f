package playbooks

import (
	"github.com/playbookd/playbookd/actions"
)

// Schema is the JSON Schema of playbooks for editors: what keys there are, which words they take,
// and the inputs of the actions given. An editor that knows it completes names and marks most
// mistakes while somebody types; what it cannot know, Compile finds.
//
// Every playbook that Compile accepts fits the schema.
func Schema(specs []actions.Spec) *actions.Schema {
	root := closed("", playbookKeys(), map[string]*actions.Schema{
		"name":        {Type: "string", Pattern: "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", MaxLength: new(MaxNameLength), Description: "The playbook's name, in kebab-case. Runs and records refer to it."},
		"description": short("What the playbook does, in a sentence."),
		"owner":       short("Who answers for it. Required of a live playbook that closes alerts."),
		"reason":      short("Why it is right. Required of a live playbook that closes alerts."),
		"expires":     {Type: "string", Description: "From this day (UTC) on it no longer acts: 2027-03-31. Required of a live playbook that closes alerts."},
		"tags":        texts("Words to find it by.", MaxTags),
		"tenants":     texts("The tenants it acts for. Left out: all of them.", MaxTenants),
		"priority":    whole("Of two playbooks for one event, that with the higher priority is decided first.", -MaxPriority, MaxPriority),
		"mode":        words("live acts; shadow decides and records the same, and changes nothing. Left out: live.", string(Live), string(Shadow)),
		"enabled":     {Type: "boolean", Description: "false: its events are recorded as skipped. Left out: true."},
		"triggers": {Type: "array", MinItems: new(1), MaxItems: new(MaxTriggers), Items: ref("trigger"),
			Description: "What starts the playbook. All triggers bring the same kind of event, which expressions call alert, incident or event."},
		"when": {Types: []string{"string", "boolean"}, Description: "A condition on the event. Without one every event starts a run."},
		"vars": {Type: "object", MaxProperties: new(MaxVars), PropertyNames: identifier(), Description: "Values with names, worked out in order when a run starts. Expressions read them as vars.NAME."},
		"concurrency": required(closed("Runs with the same key wait for each other.", concurrencyKeys(), map[string]*actions.Schema{
			"key": {Type: "string", Description: "For example ${{ incident.id }}."},
		}), "key"),
		"dedupe": required(closed("Events with the same key start one run within the window.", dedupeKeys(), map[string]*actions.Schema{
			"key":    {Type: "string", Description: "For example ${{ alert.incidentId }}."},
			"window": duration("How long a key counts."),
		}), "key", "window"),
		"limits": closed("Beyond these a run is parked for a person.", limitKeys(), map[string]*actions.Schema{
			"runs":    rate("How many runs may start within a time."),
			"effects": {Type: "object", MinProperties: new(1), MaxProperties: new(MaxLimitedActions), Description: "How often an action may be begun within a time.", AdditionalProperties: rate("")},
		}),
		"steps":      stepsOf("What the playbook does, in order."),
		"on_failure": stepsOf("What to do when the steps have failed. Expressions read failure.step, failure.code and failure.message."),
		"finally":    stepsOf("What to do at every end: success, failure and cancellation."),
		"outputs":    {Type: "object", MaxProperties: new(MaxOutputs), PropertyNames: identifier(), Description: "Values that the run leaves behind when it ended well."},
	})
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "playbookd playbook"
	root.Required = []string{"name", "triggers", "steps"}
	root.Defs = map[string]*actions.Schema{"trigger": triggerSchema(), "step": stepSchema(specs)}
	return root
}

// triggerSchema describes one entry of triggers.
func triggerSchema() *actions.Schema {
	poll := required(closed("Ask Graph for what is new or changed.", pollKeys(), map[string]*actions.Schema{
		"resource": words("What to poll.", alertsResource, incidentsResource),
		"every":    duration("How often. Left out: 1m."),
		"filter":   {Type: "string", MaxLength: new(MaxFilterLength), Description: "OData, sent to Graph as $filter: severity eq 'high' and status ne 'resolved'"},
		"expand":   words("Incidents: bring their alerts along.", alertsResource),
		"on":       {AnyOf: []*actions.Schema{words("", "created", "updated"), {Type: "array", MinItems: new(1), Items: words("", "created", "updated")}}, Description: "Which versions of an object count. Left out: both."},
	}), "resource")
	webhook := required(closed("Take what somebody pushes to /webhooks/PATH.", webhookKeys(), map[string]*actions.Schema{
		"path": {Type: "string", MaxLength: new(MaxWebhookPath), Description: "The last part of its address."},
		"auth": closed("How the sender proves who it is: one of the two.", authKeys(), map[string]*actions.Schema{
			"hmac":   {Type: "string", Description: "Name of the secret that the body is signed with."},
			"apiKey": {Type: "string", Description: "Name of the secret that the sender presents."},
		}),
		"as": words("What the body is. Left out: event.", alertSubject, incidentSubject, eventSubject),
	}), "path", "auth")
	schedule := required(closed("Start at certain times.", scheduleKeys(), map[string]*actions.Schema{
		"cron":     {Type: "string", Description: "minute hour day month weekday: 0 8 * * 1-5"},
		"timezone": {Type: "string", Description: "Such as Europe/Berlin. Left out: UTC."},
		"missed":   words("What to do about times that passed while not running. Left out: skip.", "skip", "once"),
	}), "cron")
	sla := required(closed("Keep a clock for each object, and act at its stages.", slaKeys(), map[string]*actions.Schema{
		"resource": words("What to keep clocks for.", alertsResource, incidentsResource),
		"every":    duration("How often the resource is polled. Left out: 1m."),
		"expand":   words("Incidents: bring their alerts along.", alertsResource),
		"start":    {Type: "string", Description: "An expression that gives the time from which on the clock runs: alert.createdDateTime"},
		"pause":    condition("The clock stands still while this holds."),
		"stop":     condition("The clock ends while this holds."),
		"target": {Type: "array", MinItems: new(1), MaxItems: new(MaxTargets), Description: "How much time there is. The first row whose condition holds counts; without any, the object has no clock.",
			Items: required(closed("", targetKeys(), map[string]*actions.Schema{"if": condition("When this row counts. Left out: always."), "within": duration("How much time there is.")}), "within")},
		"calendar": {Type: "string", MaxLength: new(MaxIdentifier), Description: "The calendar whose hours count. Left out: every hour counts."},
		"stages": {Type: "object", MinProperties: new(1), MaxProperties: new(MaxStages), PropertyNames: identifier(), Description: "When to act, in order: a part of the target (75%) or a time after the start (45m). Expressions read sla.stage.",
			AdditionalProperties: &actions.Schema{Type: "string"}},
	}), "resource", "start", "target", "stages")
	manual := closed("Let a person start it.", manualKeys(), map[string]*actions.Schema{
		"inputs": inputsSchema("What the person is asked for. Expressions read it as inputs.NAME."),
	})
	manual.Type, manual.Types = "", []string{"object", "null"}
	change := required(closed("Start when a field of an object has changed.", changeKeys(), map[string]*actions.Schema{
		"resource": words("What to watch.", alertsResource, incidentsResource),
		"field":    {Type: "string", Description: "The field, by Graph's name: status, severity, assignedTo …"},
		"from":     {Description: "The value before, or a list of such values. Left out: any."},
		"to":       {Description: "The value after, or a list of such values. Left out: any."},
		"by":       words("Whose changes count. Left out: anyone.", ByPerson, ByUs, ByAnyone),
		"every":    duration("How often to look. Left out: 1m."),
		"expand":   words("Incidents: bring their alerts along.", alertsResource),
	}), "resource", "field")
	run := required(closed("Start when a run of another playbook has ended.", runKeys(), map[string]*actions.Schema{
		"playbook": {AnyOf: []*actions.Schema{{Type: "string"}, {Type: "array", MinItems: new(1), MaxItems: new(MaxEndedPlaybooks), Items: &actions.Schema{Type: "string"}}}, Description: "The playbook whose runs count, or a list of them."},
		"state":    {AnyOf: []*actions.Schema{words("", endStates()...), {Type: "array", MinItems: new(1), Items: words("", endStates()...)}}, Description: "How they ended. Left out: in whichever way."},
	}), "playbook")
	kinds := closed("", triggerKinds(), map[string]*actions.Schema{"poll": poll, "change": change, "run": run, "webhook": webhook, "schedule": schedule, "sla": sla, "manual": manual})
	kinds.MinProperties, kinds.MaxProperties = new(1), new(1)
	return &actions.Schema{AnyOf: []*actions.Schema{kinds, words("", string(ManualTrigger))}}
}

// stepSchema describes a step. The input under with depends on the action's name.
func stepSchema(specs []actions.Spec) *actions.Schema {
	names := make([]any, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	onError := &actions.Schema{AnyOf: []*actions.Schema{words("", "fail", "continue"), stepsOf("")},
		Description: "What a failure means: fail the run, continue, or run these steps instead. Left out: fail."}
	step := closed("", StepKeys(), map[string]*actions.Schema{
		"id":     described(identifier(), "Later expressions read the step as steps.ID."),
		"name":   short("For people who read the run."),
		"if":     {Types: []string{"string", "boolean"}, Description: "A condition: the step is skipped where it does not hold. With then and else, it chooses."},
		"action": {Type: "string", Enum: names, Description: "What to do."},
		"with":   {Type: "object", Description: "The action's input."},
		"retry": closed("How often to try again.", retryKeys(), map[string]*actions.Schema{
			"attempts": whole("", 1, MaxAttempts),
			"backoff":  words("", "exponential", "constant"),
			"initial":  duration("The first pause."),
			"max":      duration("The longest pause."),
		}),
		"await":       duration("For an action that only starts something: how long to wait for its end."),
		"guard":       condition("What must hold when the step is about to act: where it does not, the step fails with the code guard."),
		"timeout":     duration("How long one attempt may take."),
		"on_error":    onError,
		"foreach":     {Type: "string", Description: "An expression that gives a list."},
		"as":          described(identifier(), "What expressions call the item. Left out: item."),
		"concurrency": whole("How many items are worked on at the same time. Left out: 1.", 1, MaxItemsConcurrency),
		"do":          stepsOf("What to do for each item."),
		"then":        stepsOf("What to do where the condition holds."),
		"else":        stepsOf("What to do where it does not."),
		"switch": {Type: "array", MinItems: new(1), MaxItems: new(MaxCases), Description: "The first case whose condition holds is taken.", Items: &actions.Schema{AnyOf: []*actions.Schema{
			required(closed("", caseKeys(), map[string]*actions.Schema{"if": condition("When to take this case."), "do": stepsOf("What to do then.")}), "if", "do"),
			required(closed("", elseKeys(), map[string]*actions.Schema{"else": stepsOf("What to do where no case holds.")}), "else"),
		}}},
		"parallel": {Type: "array", MinItems: new(2), MaxItems: new(MaxBranches), Items: stepsOf("One branch."), Description: "Lists of steps that are in progress at the same time."},
		"join":     words("all: every branch must end well. any: the first that does decides, and the others are canceled. Left out: all.", "all", "any"),
		"wait": {AnyOf: []*actions.Schema{duration(""), required(closed("", waitKeys(), map[string]*actions.Schema{
			"until":  condition("A time, or a condition that is looked at again and again."),
			"every":  duration("How often to look. Left out: 1m."),
			"within": duration("How long to try. Beyond it the step fails."),
			"do":     stepsOf("Steps to run before each look."),
		}), "until")}, Description: "Let time pass. It survives restarts."},
		"playbook": {Type: "string", Description: "Run another playbook as a step. What it needs stands under with."},
		"approve": required(closed("Go on only if people agree.", approveKeys(), questionSchema(map[string]*actions.Schema{
			"count":     whole("How many different people must agree. Left out: 1.", 1, MaxApprovers),
			"otherwise": words("What silence means. Left out: reject.", OtherwiseApprove, OtherwiseReject, OtherwiseFail),
		})), "title", "by", "within"),
		"ask": required(closed("Ask people something; the answer is steps.ID.answer.", askKeys(), questionSchema(map[string]*actions.Schema{
			"choices":   texts("The answers allowed.", MaxChoices),
			"form":      inputsSchema("The fields to fill in."),
			"otherwise": {Type: "string", Description: "What silence means: one of the choices, or fail. Left out: fail."},
		})), "title", "by", "within"),
		"set": {Type: "object", MinProperties: new(1), Description: "New values of variables.", Properties: map[string]*actions.Schema{
			stateKey: {AnyOf: []*actions.Schema{stateSchema(), {Type: "array", MinItems: new(1), MaxItems: new(MaxStateWrites), Items: stateSchema()}},
				Description: "What the playbook keeps beyond the run: a value, or a list of them."},
		}},
		"stop": {Type: "string", Description: "End the run well, and say why."},
		"fail": {Type: "string", Description: "End the run as failed, and say why."},
	})
	for _, s := range specs {
		step.AllOf = append(step.AllOf, &actions.Schema{
			If: &actions.Schema{
				Properties: map[string]*actions.Schema{"action": {Enum: []any{s.Name}, Description: s.Summary}},
				Required:   []string{"action"},
			},
			Then: &actions.Schema{Properties: map[string]*actions.Schema{"with": withSchema(s)}},
		})
	}
	return step
}

// stateSchema describes a value that a set writes to the state.
func stateSchema() *actions.Schema {
	return required(closed("", stateKeys(), map[string]*actions.Schema{
		"key":   {Type: "string", Description: "Expressions read it as state[KEY]."},
		"value": {Description: "What to keep; null forgets it."},
		"for":   duration("How long it is kept. Left out: 90d."),
	}), "key", "value")
}

// withSchema is the schema for the written input of an action. A secret is written as an
// expression, which the authoring schema takes anywhere.
func withSchema(s actions.Spec) *actions.Schema {
	with := actions.AuthoringSchema(s.Input)
	if with != nil && with.Description == "" {
		with.Description = s.Summary
	}
	return with
}

// closed is an object with these keys and no others. A key that nobody described may hold anything.
func closed(description string, keys []string, described map[string]*actions.Schema) *actions.Schema {
	properties := make(map[string]*actions.Schema, len(keys))
	for _, key := range keys {
		if properties[key] = described[key]; properties[key] == nil {
			properties[key] = &actions.Schema{}
		}
	}
	return &actions.Schema{Type: "object", Description: description, Properties: properties,
		AdditionalProperties: &actions.Schema{Not: &actions.Schema{}}}
}

func required(s *actions.Schema, keys ...string) *actions.Schema {
	s.Required = keys
	return s
}

func ref(name string) *actions.Schema { return &actions.Schema{Ref: "#/$defs/" + name} }

func stepsOf(description string) *actions.Schema {
	return &actions.Schema{Type: "array", MinItems: new(1), Items: ref("step"), Description: description}
}

func short(description string) *actions.Schema {
	return &actions.Schema{Type: "string", MinLength: new(1), MaxLength: new(MaxTextLength), Description: description}
}

func texts(description string, most int) *actions.Schema {
	return &actions.Schema{Type: "array", MaxItems: new(most), UniqueItems: true, Items: &actions.Schema{Type: "string"}, Description: description}
}

func whole(description string, least, most float64) *actions.Schema {
	return &actions.Schema{Type: "integer", Minimum: new(least), Maximum: new(most), Description: description}
}

func words(description string, allowed ...string) *actions.Schema {
	enum := make([]any, len(allowed))
	for i, w := range allowed {
		enum[i] = w
	}
	return &actions.Schema{Type: "string", Enum: enum, Description: description}
}

func duration(description string) *actions.Schema {
	return &actions.Schema{Type: "string", Pattern: "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", MinLength: new(2), Description: description}
}

// identifier is a name that expressions use.
func identifier() *actions.Schema {
	return &actions.Schema{Type: "string", Pattern: "^[A-Za-z_][A-Za-z0-9_]*$", MaxLength: new(MaxIdentifier)}
}

func described(s *actions.Schema, description string) *actions.Schema {
	s.Description = description
	return s
}

// rate is a number within a time.
func rate(description string) *actions.Schema {
	return &actions.Schema{Type: "string", Pattern: "^ *[0-9]+ */ *([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)? *$", Description: description}
}

// condition is a bare expression.
func condition(description string) *actions.Schema {
	return &actions.Schema{Types: []string{"string", "boolean"}, Description: description}
}

// inputsSchema describes typed fields: the inputs of a playbook, or the form of a question.
func inputsSchema(description string) *actions.Schema {
	input := closed("", inputKeys(), map[string]*actions.Schema{
		"type":        words("Left out: text.", inputTypes()...),
		"description": short("What to enter."),
		"required":    {Type: "boolean"},
		"default":     {Description: "Used where nothing is given."},
		"enum":        texts("The texts allowed.", MaxEnumValues),
	})
	return &actions.Schema{Type: "object", MaxProperties: new(MaxInputs), PropertyNames: identifier(), Description: description,
		AdditionalProperties: &actions.Schema{AnyOf: []*actions.Schema{words("", inputTypes()...), input}}}
}

// questionSchema is what approve and ask have in common, with what they differ in.
func questionSchema(own map[string]*actions.Schema) map[string]*actions.Schema {
	own["title"] = &actions.Schema{Type: "string", Description: "What people are asked, in one line."}
	own["details"] = &actions.Schema{Type: "string", Description: "What they should know to decide."}
	own["by"] = &actions.Schema{Type: "array", MinItems: new(1), MaxItems: new(MaxAskedPeople), Items: &actions.Schema{Type: "string"},
		Description: "Who may answer: names of people in the configuration, or role:NAME."}
	own["within"] = duration("How long to wait for an answer.")
	own["channels"] = texts("The channels of the configuration that are told.", MaxAskChannels)
	return own
}
