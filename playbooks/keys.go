package playbooks

import "slices"

// The keys of the language, by the place where they stand. The checker refuses every other key, and
// the schema for editors is made of the same lists, so that a key which is added here is known to
// both.

func playbookKeys() []string {
	return []string{"name", "description", "owner", "reason", "expires", "tags", "priority", "tenants", "mode", "enabled",
		"triggers", "when", "vars", "steps", "on_failure", "finally", "outputs", "concurrency", "dedupe", "limits"}
}

func triggerKinds() []string {
	return []string{string(PollTrigger), string(ChangeTrigger), string(WebhookTrigger), string(ScheduleTrigger), string(SLATrigger), string(RunTrigger), string(ManualTrigger)}
}

func laterTriggerKinds() []string { return []string{"subscription"} }

func pollKeys() []string { return []string{"resource", "every", "filter", "expand", "on"} }
func changeKeys() []string {
	return []string{"resource", "field", "from", "to", "by", "every", "expand"}
}
func runKeys() []string      { return []string{"playbook", "state"} }
func limitKeys() []string    { return []string{"runs", "effects"} }
func webhookKeys() []string  { return []string{"path", "auth", "as"} }
func authKeys() []string     { return []string{"hmac", "apiKey"} }
func scheduleKeys() []string { return []string{"cron", "timezone", "missed"} }
func manualKeys() []string   { return []string{"inputs"} }

func slaKeys() []string {
	return []string{"resource", "every", "expand", "start", "pause", "stop", "target", "calendar", "stages"}
}
func targetKeys() []string { return []string{"if", "within"} }

// inputKeys are those of an input of a manual trigger, and of a field of a form.
func inputKeys() []string { return []string{"type", "description", "required", "default", "enum"} }

func concurrencyKeys() []string { return []string{"key"} }
func dedupeKeys() []string      { return []string{"key", "window"} }

// bodyKeys are the keys of which a step has exactly one: they say what it does.
func bodyKeys() []string {
	return []string{"action", "foreach", "set", "stop", "fail", "then", "switch", "parallel", "wait", "playbook", "approve", "ask"}
}

func laterStepKeys() []string {
	return []string{"undo"}
}

// stepKeys are the keys that make sense beside a body.
func stepKeys(body string) []string {
	common := []string{"id", "name", "if", body}
	switch body {
	case "action":
		return append(common, "with", "guard", "await", "retry", "timeout", "on_error")
	case "foreach":
		return append(common, "as", "concurrency", "on_error", "do")
	case "then":
		return append(common, "else", "on_error")
	case "switch", "wait", "approve", "ask":
		return append(common, "on_error")
	case "parallel":
		return append(common, "join", "on_error")
	case "playbook":
		return append(common, "with", "on_error")
	}
	return common
}

// StepKeys lists every key that a step may have.
func StepKeys() []string {
	var all []string
	for _, body := range bodyKeys() {
		all = append(all, stepKeys(body)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stateKeys are those of a value that a set writes to the state.
func stateKeys() []string { return []string{"key", "value", "for"} }

func retryKeys() []string { return []string{"attempts", "backoff", "initial", "max"} }
func waitKeys() []string  { return []string{"until", "every", "within", "do"} }
func caseKeys() []string  { return []string{"if", "do"} }
func elseKeys() []string  { return []string{"else"} }

// questionKeys are those that approve and ask have in common.
func questionKeys() []string {
	return []string{"title", "details", "by", "within", "otherwise", "channels"}
}

func approveKeys() []string { return append(questionKeys(), "count") }
func askKeys() []string     { return append(questionKeys(), "choices", "form") }
