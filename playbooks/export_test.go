package playbooks

// BodyKeys are the keys that say what a step does.
func BodyKeys() []string { return bodyKeys() }

// TriggerKinds are the kinds of trigger.
func TriggerKinds() []string { return triggerKinds() }
