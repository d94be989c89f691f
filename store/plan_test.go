package store

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/playbookd/playbookd/engine"
)

// small are the tables that don't grow with the number of events: a row for each edit, source or
// state.
func small() []string {
	return []string{"sets", "screens", "documents", "versions", "cursors", "counts", "d", "s", "sqlite_schema"}
}

// constants evaluates the string constants of this package's files.
func constants(t *testing.T) map[string]string {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	exprs := map[string]ast.Expr{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, v := range spec.Values {
					exprs[spec.Names[i].Name] = v
				}
			}
			return true
		})
	}
	texts := map[string]string{}
	for name, e := range exprs {
		if text, ok := text(e, exprs); ok {
			texts[name] = text
		}
	}
	return texts
}

func text(e ast.Expr, exprs map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if named, ok := exprs[e.Name]; ok {
			return text(named, exprs)
		}
	case *ast.BinaryExpr:
		x, okX := text(e.X, exprs)
		y, okY := text(e.Y, exprs)
		return x + y, okX && okY
	}
	return "", false
}

// statements are all that this package says to SQLite: the constants, and what filters make.
func statements(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	isQuery := regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE)\b`)
	for name, s := range constants(t) {
		if isQuery.MatchString(s) {
			list[name] = s
		}
	}
	for i := range 16 {
		runs, events := RunFilter{}, EventFilter{}
		if i&1 != 0 {
			runs.Playbook, events.Source = "p", "s"
		}
		if i&2 != 0 {
			runs.Object, events.Object = "o", "o"
		}
		if i&4 != 0 {
			runs.Before, events.Before = "r", "e"
		}
		if i&8 != 0 {
			runs.State = engine.Ready
		}
		clocks := ClockFilter{All: i&8 != 0, Playbook: runs.Playbook, Object: runs.Object, Tenant: runs.Playbook}
		list["clocks "+strconv.Itoa(i)], _ = clocks.query()
		list["runs "+strconv.Itoa(i)], _ = runs.query(1, 1)
		list["events "+strconv.Itoa(i)], _ = events.query(1, 1)
	}
	// Not statements by themselves, but the beginnings of others.
	delete(list, "selectRuns")
	delete(list, "selectEvents")
	delete(list, "sqlMiscounted") // examines everything, and says so
	return list
}

// scans returns the steps of a plan that walk over a whole table that grows.
func scans(plan []string) []string {
	var bad []string
	table := regexp.MustCompile(`^SCAN (\w+)`)
	for _, step := range plan {
		m := table.FindStringSubmatch(step)
		if m == nil || slices.Contains(small(), m[1]) {
			continue
		}
		bad = append(bad, step)
	}
	return bad
}

func plan(t *testing.T, db *DB, query string) []string {
	t.Helper()
	var steps []string
	err := db.look(context.Background(), func(v *view) error {
		args := make([]any, 18) // the most that a statement has
		highest := 0
		for _, m := range regexp.MustCompile(`\?(\d+)`).FindAllStringSubmatch(query, -1) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return err
			}
			highest = max(highest, n)
		}
		return v.query(v.ctx, "EXPLAIN QUERY PLAN "+query, args[:highest], func(r row) error {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			steps = append(steps, detail)
			return err
		})
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return steps
}

func TestNoStatementWalksOverATableThatGrows(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	all := statements(t)
	if len(all) < 60 {
		t.Fatalf("only %d statements were found", len(all))
	}
	for name, query := range all {
		steps := plan(t, db, query)
		if bad := scans(steps); len(bad) > 0 {
			t.Errorf("%s: %s\n%s\n", name, strings.Join(bad, "; "), query)
		}
	}
}

// A queue of thousands behind one concurrency key must not be looked at to find the head.
func TestTheQueueIsReadFromItsHead(t *testing.T) {
	t.Parallel()
	steps := strings.Join(plan(t, newTest(t), sqlReady), "; ")
	for _, part := range []string{
		"SEARCH r USING INDEX runs_ready (blocked=?)", "USING INDEX runs_wake (blocked=? AND wake<?)",
	} {
		if !strings.Contains(steps, part) {
			t.Errorf("%q is not in %q", part, steps)
		}
	}
}

// After a day without Graph thousands of runs are due at once. Sorting them all for each that is
// started would take the square of their number.
func TestReadySortsNoMoreThanItReturns(t *testing.T) {
	t.Parallel()
	inside := false // one of the halves, which is cut before it is sorted with the other
	for _, step := range plan(t, newTest(t), sqlReady) {
		switch {
		case strings.HasPrefix(step, "CO-ROUTINE"):
			inside = true
		case strings.HasPrefix(step, "SCAN"):
			inside = false
		case inside && strings.Contains(step, "TEMP B-TREE"):
			t.Errorf("all that is due is sorted: %s", step)
		}
	}
	if n := strings.Count(sqlReady, "LIMIT"); n != 3 {
		t.Errorf("%d limits, want one for each half and one for both", n)
	}
}

// The clocks of a new playbook begin with the versions of all objects, page by page. Looking at all of them for
// each page would take the square of their number.
func TestAPageOfVersionsIsReadInTheOrderOfTheObjects(t *testing.T) {
	t.Parallel()
	steps := plan(t, newTest(t), sqlVersions)
	if all := strings.Join(steps, "; "); !strings.Contains(all, "USING INDEX events_object (object>?)") || strings.Contains(all, "FOR GROUP BY") {
		t.Error(all)
	}
}

// A list behind an IN becomes a table that is made and dropped for each row, in conditions of the schema too.
func TestWhatEveryRunWritesNeedsNoTableOfItsOwn(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for _, query := range []string{sqlAddEvent, sqlAddMatch, sqlAddRun, sqlAddHistory, sqlAddWrite, sqlStand, sqlGoOn, sqlTally} {
		// The writer's connection is asked: the plan of one that can't write leaves the conditions out.
		err := db.writer.write(t.Context(), func(tx *tx) error {
			return tx.query(t.Context(), "EXPLAIN "+query, make([]any, strings.Count(query, "?")), func(r row) error {
				if r[1] == "OpenEphemeral" {
					t.Errorf("makes a table: %s", query)
				}
				return nil
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

func TestTheTestOfPlansNoticesAWalk(t *testing.T) {
	t.Parallel()
	db := newTest(t)
	for _, query := range []string{
		"SELECT id FROM runs WHERE message = ?1", "SELECT count(*) FROM history", "DELETE FROM events WHERE title = ?1",
	} {
		if len(scans(plan(t, db, query))) == 0 {
			t.Errorf("not noticed: %s", query)
		}
	}
}

// go-sqlite3 binds other forms by the order of their appearance, and so the wrong row is found.
func TestParametersAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	for name, query := range statements(t) {
		if regexp.MustCompile(`\$\d|[^:]:\w|@\w|\?(\D|$)`).MatchString(query) {
			t.Errorf("%s: another form than ?1: %s", name, query)
		}
	}
}
