package watchlist_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/playbookd/playbookd/playbooks/watchlist"
)

func loadCSV(text string) (*watchlist.Set, string) {
	set, findings := watchlist.Load(fstest.MapFS{"lists/vips.csv": {Data: []byte(text)}}, "lists")
	return set, fmt.Sprint(findings.Err())
}

func TestALineOfACSVListIsAnObjectWithTypedFields(t *testing.T) {
	t.Parallel()
	set, err := loadCSV("\xEF\xBB\xBFuser,tries:int, score:number,active:bool\nann@contoso.example,3,0.5,true\n\"bob, jr\",,,\n")
	values, content, _ := set.Get("vips")
	want := []any{
		map[string]any{"user": "ann@contoso.example", "tries": int64(3), "score": 0.5, "active": true},
		map[string]any{"user": "bob, jr", "tries": nil, "score": nil, "active": nil},
	}
	if diff := cmp.Diff(want, values); diff != "" || err != "<nil>" {
		t.Errorf("entries (-want +got): %s\n%s", err, diff)
	}
	if want := `[{"active":true,"score":0.5,"tries":3,"user":"ann@contoso.example"},{"active":null,"score":null,"tries":null,"user":"bob, jr"}]`; string(content) != want {
		t.Errorf("content %s", content)
	}
	if got := fmt.Sprint(set.Columns("vips")); got != "[{user text} {tries int} {score number} {active bool}]" {
		t.Errorf("columns %s", got)
	}
}

func TestACSVListOfOneColumnIsAListOfItsValues(t *testing.T) {
	t.Parallel()
	set, err := loadCSV("port:int\n22\n3389\n")
	values, _, _ := set.Get("vips")
	if diff := cmp.Diff([]any{int64(22), int64(3389)}, values); diff != "" || err != "<nil>" || set.Columns("vips") != nil {
		t.Errorf("entries (-want +got): %s\n%s", err, diff)
	}
}

func TestWhatIsWrongWithACSVListIsSaidWithItsLine(t *testing.T) {
	t.Parallel()
	columns := make([]string, watchlist.MaxColumns+1)
	for i := range columns {
		columns[i] = fmt.Sprint("c", i)
	}
	long := strings.Repeat("x", watchlist.MaxEntry)
	for _, c := range []struct{ text, want string }{
		{"user,tries:int\nann,three\n", `vips.csv:2:1: error WL002: tries is a whole number, and this is "three"`},
		{"user,score:number\nann,NaN\n", "score is a number"},
		{"user,active:bool\nann,yes\n", "active is true or false"},
		{"user,tries:integer\n", `"tries:integer" can't be the name of a column`},
		{"user,user\n", "two columns user"},
		{"user,tries\nann\n", "vips.csv:2:1: error WL002: the line is no CSV"},
		{"user\n\"ann\n", "no CSV"},
		{strings.Join(columns, ",") + "\n", "51 columns"},
		{"user,more\n" + long + ",\n", "<nil>"},
		{"user,more\n" + long + ",x\n", "more than 1024 bytes"},
		{"user\n" + strings.Repeat("x\n", watchlist.MaxEntries), "<nil>"},
		{"user\n" + strings.Repeat("x\n", watchlist.MaxEntries+1), "more than 10000 entries"},
	} {
		if _, err := loadCSV(c.text); !strings.Contains(err, c.want) {
			t.Errorf("%.60q: %s, want %q", c.text, err, c.want)
		}
	}
}
