package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/playbookd/playbookd/internal/diag"
)

// printJSON prints one indented JSON value: the whole answer of a command.
func (s *streams) printJSON(v any) error {
	enc := json.NewEncoder(diag.Escaped(s.out))
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine prints one JSON value on one line: an item of a stream.
func (s *streams) printLine(v any) error {
	enc := json.NewEncoder(diag.Escaped(s.out))
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows in columns.
func table(w io.Writer, head []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// plain makes text from outside fit for a terminal: one line of at most n characters.
func plain(text string, n int) string { return diag.Plain(text, n) }

// paint colours text on a terminal.
func (s *streams) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const (
	red, green, yellow, dim = "31", "32", "33", "2"
)

func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
