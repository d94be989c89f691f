package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func writingFunctions() []function {
	return []function{
		{name: "table", summary: `a Markdown table of a list of objects; columns are paths such as "host.name"`,
			params: []param{need("rows", List(Any)), allow("columns", List(Text))}, typ: Text, call: table},
		{name: "truncate", summary: "text cut to a number of characters, with … at the end of what was cut",
			params: []param{need("text", Text), need("length", Int)}, typ: Text, call: truncate},
	}
}

// maxColumns is how many columns a table may have.
const maxColumns = 50

// table writes rows as Markdown, every cell escaped.
func table(m *meter, args []any) (any, error) {
	rows, err := list(args[0])
	if err != nil {
		return nil, err
	}
	var columns []string
	if len(args) > 1 && args[1] != nil {
		l, err := list(args[1])
		if err != nil {
			return nil, err
		}
		for _, c := range l {
			s, ok := c.(string)
			if !ok {
				return nil, fmt.Errorf("a column is text, not %s", describe(c))
			}
			columns = append(columns, s)
		}
	} else {
		columns = columnsOf(rows)
	}
	if len(columns) > maxColumns {
		return nil, fmt.Errorf("a table has at most %d columns", maxColumns)
	}
	if len(columns) == 0 {
		return "", nil
	}
	var b strings.Builder
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = markdownText(c)
	}
	writeRow(&b, titles)
	writeRow(&b, slices.Repeat([]string{"---"}, len(columns)))
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			s, err := commaText(m, cellOf(row, c))
			if err != nil {
				return nil, err
			}
			if err := m.write(3*len(s) + 3); err != nil {
				return nil, err
			}
			cells[i] = markdownText(s)
		}
		writeRow(&b, cells)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func writeRow(b *strings.Builder, cells []string) {
	b.WriteString("| ")
	b.WriteString(strings.Join(cells, " | "))
	b.WriteString(" |\n")
}

// columnsOf are the names of all fields, sorted.
func columnsOf(rows []any) []string {
	names := map[string]bool{}
	for _, row := range rows {
		if o, ok := row.(map[string]any); ok {
			for name := range o {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// cellOf follows a path into a row. A field whose name holds dots is found before the path is taken apart.
func cellOf(v any, path string) any {
	o, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if found, ok := o[path]; ok {
		return found
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	return cellOf(o[first], rest)
}

func truncate(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	n, ok := wholeNumber(args[1])
	if !ok || n < 1 {
		return nil, errors.New("truncate needs a length of at least 1")
	}
	if err := m.write(len(s)); err != nil {
		return nil, err
	}
	count := 0
	for i := range s {
		if count == n-1 {
			if len([]rune(s[i:])) <= 1 {
				return s, nil
			}
			return s[:i] + "…", nil
		}
		count++
	}
	return s, nil
}
