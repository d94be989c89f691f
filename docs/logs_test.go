package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logKeys is the one list of keys that lines of the log may have. docs/logs.md is made of it.
func logKeys() [][2]string {
	return [][2]string{
		{"component", "the part that speaks: daemon, engine, triggers, graph, store, server, profiles"},
		{"tenant", "as the configuration calls it"},
		{"source", "where events come from: TENANT/poll/RESOURCE, webhook, schedule, sla"},
		{"playbook", "its name"},
		{"stage", "of a clock, by its name"},
		{"run", "its id, for `playbookd show`"},
		{"step", "its path, with the part of the action"},
		{"attempt", "the how many-th"},
		{"request_id", "of an attempt: the `client-request-id` that Graph got"},
		{"graph_request_id", "what Graph calls the request"},
		{"err", "what is wrong"},
		{"why", "the reason, in words"},
		{"event", "its id"},
		{"object", "alerts/ID or incidents/ID"},
		{"state", "of a run"},
		{"mode", "of a run, unless live"},
		{"person", "who said something to a run"},
		{"took", "how long"},
		{"until", "when a run goes on by itself"},
		{"count", "how many"},
		{"failures", "in a row"},
		{"lateness", "how far behind the position objects surfaced"},
		{"slot", "a schedule, as PLAYBOOK and index"},
		{"latest", "the last slot that was missed"},
		{"position", "what is stored as how far a source has come"},
		{"hook", "a webhook's path"},
		{"secret", "its name, never its value"},
		{"bytes_needed", "that a key lacks"},
		{"accepted", "events of a delivery"},
		{"duplicates", "events of a delivery that were known"},
		{"sender", "an address"},
		{"status", "of an answer"},
		{"class", "of requests to Graph, see budgets"},
		{"pause", "that Graph asked for"},
		{"method", "of a request"},
		{"endpoint", "of Graph, without ids"},
		{"code", "of a fault or a finding"},
		{"at", "file, line and column of a finding"},
		{"what", "a finding says"},
		{"playbooks", "how many are loaded"},
		{"digest", "of all playbooks together"},
		{"findings", "how many"},
		{"warning", "about a secret's file"},
		{"version", "of this program"},
		{"config", "the configuration's file"},
		{"data", "the data directory"},
		{"tenants", "how many"},
		{"addr", "of a listener"},
		{"tls", "whether the listener speaks it"},
		{"detail", "what the HTTP library says of a broken connection; it may quote strangers"},
		{"file", "that was written"},
		{"bytes", "of it"},
		{"tries", "so far"},
		{"from_schema", "before an upgrade"},
		{"to_schema", "after an upgrade"},
		{"panic", "what a part panicked with"},
		{"stack", "where"},
		{"text", "what an action `log` says: text of the playbook and of alerts"},
		{"fields", "of an action `log`, as JSON"},
	}
}

func logsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Logs\n\nThe daemon writes to standard error: lines of `key=value`, or with `log: {format: json}` a JSON object on each. `--log-format` and\n" +
		"`--log-level` of `serve` take the place of the configuration.\n\n" +
		"- Levels: at `error` a person has to look; `warn` mends itself or concerns one run; `info` says what happened; `debug` has a line for each\n  request to Graph.\n" +
		"- The text of a message is always the same for the same happening; what differs stands in values.\n" +
		"- Text of alerts and of strangers appears in values only, as one line: control characters become blanks, characters that turn text around are\n  left out, and beyond 16 KiB it is cut.\n" +
		"- Values of secrets that were read are blotted out, also in the forms in which they travel: Base64, percent-encoded, hexadecimal, in JSON.\n\n" +
		"The keys, all of them; a test reads the source for others:\n\n| key | value |\n|---|---|\n")
	for _, k := range logKeys() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", k[0], k[1])
	}
	return b.Bytes()
}

// logCall is a call that writes to a log, or makes an attribute for one.
type logCall struct {
	at   string
	text string   // the message; "" for attributes
	keys []string // "?" for one that is no literal
	bad  string
}

var (
	speaks    = regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$`)
	loggerish = regexp.MustCompile(`(?i)(^|\.)(log|logger|slog)$|^d\.root$`)
	attribute = regexp.MustCompile(`^(String|Int|Int64|Uint64|Float64|Bool|Time|Duration|Any|Group)$`)
)

// logCalls finds the calls of a file.
func logCalls(files *token.FileSet, file *ast.File) []logCall {
	var calls []logCall
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		receiver, name := words(sel.X), sel.Sel.Name
		c := logCall{at: files.Position(call.Pos()).String()}
		args := call.Args
		switch {
		case receiver == "slog" && attribute.MatchString(name):
			c.keys = []string{literal(args[0])}
		case !loggerish.MatchString(receiver):
			return true
		case name == "With":
			c.keys = pairs(args)
		case name == "LogAttrs":
			c.text = literal(args[2])
		case speaks.MatchString(name):
			if strings.HasSuffix(name, "Context") {
				args = args[1:]
			}
			c.text = literal(args[0])
			if args = args[1:]; !call.Ellipsis.IsValid() {
				c.keys = pairs(args)
			}
		default:
			return true
		}
		if c.text == "?" {
			c.bad = "its message is no literal"
		}
		calls = append(calls, c)
		return true
	})
	return calls
}

// words is an expression of names and dots as text.
func words(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return words(e.X) + "." + e.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if s, err := strconv.Unquote(lit.Value); err == nil {
			return s
		}
	}
	return "?"
}

// pairs are the keys of a list of keys and values, and of attributes.
func pairs(args []ast.Expr) []string {
	var keys []string
	for i := 0; i < len(args); i++ {
		if _, is := args[i].(*ast.CallExpr); is {
			continue // slog.String and the like, which are looked at by themselves
		}
		keys = append(keys, literal(args[i]))
		i++
	}
	return keys
}

func TestLinesOfTheLogHaveFixedMessagesAndKnownKeys(t *testing.T) {
	t.Parallel()
	known, used, found := map[string]bool{}, map[string]bool{}, 0
	for _, k := range logKeys() {
		if known[k[0]] {
			t.Errorf("the key %s is listed twice", k[0])
		}
		known[k[0]] = true
	}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, outside := range []string{"graph/simulator", "internal/mutant"} { // the simulator's log is its own
			if strings.Contains(filepath.ToSlash(path), outside) {
				return nil
			}
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		for _, c := range logCalls(files, file) {
			found++
			if c.bad != "" {
				t.Errorf("%s: %s", c.at, c.bad)
			}
			for _, k := range c.keys {
				if used[k] = true; !known[k] {
					t.Errorf("%s: the key %q is not in the list of this test: use one that is, or add it with its meaning", c.at, k)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range known {
		if !used[k] {
			t.Errorf("nobody uses the key %s", k)
		}
	}
	if found < 50 {
		t.Errorf("only %d calls were found", found)
	}
}

func TestTheReaderOfLogCallsFindsWhatItShould(t *testing.T) {
	t.Parallel()
	const source = `package x
func f() {
	l.log.Info("fixed", "run", id, slog.String("step", s), "oops", 1)
	log.ErrorContext(ctx, "a "+b, key, 1)
	s.o.Logger.With("component", "x")
	other.Info("not ours", "zzz", 1)
}`
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	bad := 0
	for _, c := range logCalls(files, file) {
		keys = append(keys, c.keys...)
		if c.bad != "" {
			bad++
		}
	}
	slices.Sort(keys)
	if want := []string{"?", "component", "oops", "run", "step"}; !slices.Equal(keys, want) || bad != 1 {
		t.Errorf("keys %v, want %v; %d bad messages, want 1", keys, want, bad)
	}
}
