package watchlist

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/playbookd/playbookd/internal/diag"
	"github.com/playbookd/playbookd/playbooks/named"
)

// MaxColumns is how many columns a CSV list may have.
const MaxColumns = 50

// Column is a column of a list from a CSV file: the entries are objects with these fields.
type Column struct {
	Name string
	Type string // text, int, number or bool
}

var columnForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,63})(?::(text|int|number|bool))?$`)

// fromCSV reads a list whose first line names the columns, each with its type if that is not text: user,since,tries:int. A
// file of one column is a list of its values, one of several a list of objects. An empty field is missing.
func fromCSV(file string, src []byte) (values []any, columns []Column, findings diag.Findings) {
	fail := func(line int, code, message, mend string) ([]any, []Column, diag.Findings) {
		f := named.Finding(file, code, message, mend)
		f.Pos.Line, f.Pos.Column = line, 1
		return nil, nil, diag.Findings{f}
	}
	src = bytes.TrimPrefix(src, []byte("\xEF\xBB\xBF")) // as spreadsheets write it
	r := csv.NewReader(strings.NewReader(strings.ToValidUTF8(string(src), "\uFFFD")))
	r.TrimLeadingSpace = true
	values = []any{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line := 1
		if len(record) > 0 {
			line, _ = r.FieldPos(0)
		}
		if err != nil {
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				line, err = p.Line, p.Err
			}
			return fail(line, CodeForm, "the line is no CSV: "+err.Error(), "give each line as many fields as the first, and quote fields that hold commas or quotes")
		}
		if columns == nil {
			var problem string
			if columns, problem = columnsOf(record); problem != "" {
				return fail(line, CodeForm, problem, "name the columns in the first line: user,tries:int,active:bool")
			}
			continue
		}
		if len(values) == MaxEntries {
			return fail(line, CodeLimit, fmt.Sprintf("there are more than %d entries", MaxEntries), "split the list")
		}
		entry, problem := entryOf(columns, record)
		switch {
		case problem != "":
			return fail(line, CodeForm, problem, "correct it, or make the column text")
		case sizeOf(record) > MaxEntry:
			return fail(line, CodeLimit, fmt.Sprintf("the entry has more than %d bytes", MaxEntry), "shorten it")
		case entry == nil: // an empty line of a list of values
			continue
		}
		values = append(values, entry)
	}
	if len(columns) == 1 {
		return values, nil, nil
	}
	return values, columns, nil
}

func sizeOf(record []string) (n int) {
	for _, field := range record {
		n += len(field)
	}
	return n
}

func columnsOf(record []string) (columns []Column, problem string) {
	if len(record) > MaxColumns {
		return nil, fmt.Sprintf("there are %d columns; at most %d are allowed", len(record), MaxColumns)
	}
	for _, name := range record {
		m := columnForm.FindStringSubmatch(strings.TrimSpace(name))
		switch {
		case m == nil:
			return nil, fmt.Sprintf("%.60q can't be the name of a column", name)
		case slices.ContainsFunc(columns, func(c Column) bool { return c.Name == m[1] }):
			return nil, fmt.Sprintf("there are two columns %s", m[1])
		}
		columns = append(columns, Column{Name: m[1], Type: cmp.Or(m[2], "text")})
	}
	return columns, ""
}

// entryOf reads a line.
func entryOf(columns []Column, record []string) (entry any, problem string) {
	fields := make(map[string]any, len(columns))
	for i, c := range columns {
		v, ok := fieldOf(c, strings.TrimSpace(record[i]))
		if !ok {
			return nil, fmt.Sprintf("%s is %s, and this is %.60q", c.Name, kindOf(c.Type), record[i])
		}
		if len(columns) == 1 {
			return v, ""
		}
		fields[c.Name] = v
	}
	return fields, ""
}

func fieldOf(c Column, text string) (any, bool) {
	if text == "" {
		return nil, true
	}
	switch c.Type {
	case "int":
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	case "number":
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && f-f == 0 // neither infinite nor no number at all
	case "bool":
		return text == "true", text == "true" || text == "false"
	}
	return text, true
}

func kindOf(typ string) string {
	switch typ {
	case "int":
		return "a whole number"
	case "number":
		return "a number"
	case "bool":
		return "true or false"
	}
	return "text"
}
