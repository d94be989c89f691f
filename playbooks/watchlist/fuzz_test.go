package watchlist_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/playbookd/playbookd/internal/killer"
	"github.com/playbookd/playbookd/playbooks/watchlist"
)

// FuzzLoad loads any file as a watchlist: it becomes a list of texts and numbers within the limits whose canonical form
// is that of its values, or a finding.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{"- a\n- 1\n- 2.5\n", "a\n# b\n\n c \n", "", "- [a]", "- null\n- true", "\xff\n", "~", "- 9223372036854775807\n- 1e300", strings.Repeat("x\n", 10_001), "- " + strings.Repeat("x", 1025)} {
		f.Add("list.yaml", text)
		f.Add("list.txt", text)
		f.Add("list.csv", text)
	}
	f.Add("list.csv", "user,tries:int,active:bool\nann,3,true\n\"b\"\"c\",,\n")
	for _, k := range killer.Documents() {
		f.Add("k.yml", k.Text)
	}
	f.Add("List.yaml", "- a")
	f.Fuzz(func(t *testing.T, name, text string) {
		name = strings.ReplaceAll(name, "/", "_")
		fsys := fstest.MapFS{"lists/" + name: {Data: []byte(text)}, "lists/known.txt": {Data: []byte("a\n")}}
		set, findings := watchlist.Load(fsys, "lists")
		for _, f := range findings {
			if f.Code == "" || f.Message == "" || f.Mend == "" || f.Pos.File == "" {
				t.Errorf("odd finding %+v", f)
			}
		}
		for _, n := range set.Names() {
			values, content, ok := set.Get(n)
			var again []any
			if !ok || len(values) > watchlist.MaxEntries || json.Unmarshal(content, &again) != nil || len(again) != len(values) {
				t.Fatalf("%s holds %d values and %s", n, len(values), content)
			}
			canonical, err := json.Marshal(values)
			if err != nil || !bytes.Equal(canonical, content) {
				t.Errorf("%s: %s is not %s (%v)", n, content, canonical, err)
			}
			for _, v := range values {
				if s, ok := v.(string); ok && len(s) > watchlist.MaxEntry {
					t.Errorf("an entry of %d bytes", len(s))
				}
			}
		}
	})
}
