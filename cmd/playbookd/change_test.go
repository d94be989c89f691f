package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAChangeIsTriedOnTwoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	book := file("closed.yaml", "name: closed\ntriggers: [{change: {resource: alerts, field: status, to: resolved}}]\n"+
		"steps: [{action: log, with: {message: \"was ${{ change.old }}\"}}]\n")
	open, closed := file("open.json", `{"id":"a1","status":"new"}`), file("closed.json", `{"id":"a1","status":"resolved"}`)
	if out, errs, code := playbookd(t, "run", book, "--event", closed, "--before", open); code != exitOK || !strings.Contains(out, "was new") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	for _, args := range [][]string{{"--event", closed}, {"--event", open, "--before", closed}} {
		if out, _, code := playbookd(t, append([]string{"run", book}, args...)...); code != exitFound || !strings.Contains(out, "skipped") {
			t.Errorf("%q: exit code %d: %s", args, code, out)
		}
	}
}
