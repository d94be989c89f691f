// Package playbooks turns the text of a playbook into something that can run, or into findings
// that say where it is wrong and how to mend it.
//
// A playbook is one YAML document: who answers for it, what starts it, under which condition, and
// which steps it takes. People write playbooks at their desk and meet their mistakes at night, so
// everything that can be known before anything happens is found when the file is loaded: unknown
// keys, fields, functions, steps, watchlists and actions; values that an action will not take;
// filters that Graph does not answer; a step that is never reached; a verdict that Defender does
// not know. The same compiler serves the daemon, `playbookd check` and the editor's schema.
//
// The reading goes in one direction:
//
//	text ── internal/document ──► tree ── Compile ──► Playbook
//	                                        ├── triggers give the subject its type: alert, incident or event
//	                                        ├── a scope grows: what matches, then vars, then each step's output
//	                                        ├── expressions are compiled against the scope at their place
//	                                        └── inputs are checked against the actions' own declarations
//
// What this package promises:
//
//   - Nothing is ignored. A key that this version does not know, and a construct of the language
//     that it cannot do yet, is an error: a playbook never does less than it says.
//   - A playbook without errors is complete and immutable. The same text gives the same playbook,
//     in every process and every year, and its digest says which text it was.
//   - Paths of steps come from the syntax tree alone, so that recorded runs can be decided again.
//   - A secret's text is never in a playbook, and its name only where an action takes a secret.
//   - A live playbook that closes alerts names its owner, its reason and its end.
//   - What conditions exclude together (judge.go, repeat.go, rivals.go) is said only where it is
//     certain, and never asked of a text that ran before.
//   - No text makes the compiler panic, hang or grow: every limit is a constant in limits.go.
//
// Every finding has a code; Codes explains them, and testdata/findings shows each of them.
package playbooks
