package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/playbookd/playbookd/internal/testsite"
)

// The test binary is playbookd when a script calls it so.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"playbookd": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
		stop()
		os.Exit(code)
	}})
}

// The scripts in testdata/script are what users do, and what they see.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("PLAYBOOKD_UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_PROXY", "*")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "listen": listen, "steady": steady, "keep": keep, "hup": hup, "poke": poke,
		},
	})
}

// exits CODE COMMAND… runs a command that must end with that exit code. Its output is kept in the
// files stdout.txt and stderr.txt.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	out, errs, code := command(ts, args[1:])
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(out), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), []byte(errs), 0o600))
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\nstdout:\n%s\nstderr:\n%s", code, args[0], out, errs)
	}
}

// patience is how long until waits. It is no promise about speed: it only keeps a script that
// would wait for ever from doing so.
const patience = time.Minute

// until PATTERN COMMAND… runs a command again and again until its output matches. The command
// "ready" is what the daemon at $ADDR says about its readiness.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out, errs string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if args[1] == "ready" {
			out, errs = readiness(ts.Getenv("ADDR"))
		} else {
			out, errs, _ = command(ts, args[1:])
		}
		if want.MatchString(out) || want.MatchString(errs) {
			ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(out), 0o600))
			return
		}
	}
	ts.Fatalf("no output matched %s; the last was\n%s%s", args[0], out, errs)
}

// readiness asks a daemon that may not listen yet.
func readiness(addr string) (body, trouble string) {
	resp, err := http.Get("http://" + addr + "/readyz") //nolint:noctx // a script has no context
	if err != nil {
		return "", err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err.Error()
	}
	return string(text), ""
}

func command(ts *testscript.TestScript, args []string) (stdout, stderr string, code int) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		for _, dir := range strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator)) {
			if _, serr := os.Stat(dir + "/" + args[0]); serr == nil {
				path, err = dir+"/"+args[0], nil
				break
			}
		}
	}
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "HOME="+ts.Getenv("HOME"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		ts.Fatalf("%v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// listen FILE gives a configuration a free port, and the variable ADDR.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	addr, release, err := testsite.Reserve(context.Background())
	ts.Check(err)
	ts.Defer(release)
	file := ts.MkAbs(args[0])
	text, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, bytes.Replace(text, []byte("127.0.0.1:8484"), []byte(addr), 1), 0o600))
	ts.Setenv("ADDR", addr)
}

// unsteady is what differs from one run of a program to the next, and what is put in its place.
var unsteady = []struct {
	what *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`\br[0-9a-v]{16}\b`), "RUN"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`sha256:[0-9a-f]+`), "DIGEST"},
	{regexp.MustCompile(`/[a-z2-7]{26}\b`), "/EVENT"},
	{regexp.MustCompile(`"key": "[0-9a-f]{24}"`), `"key": "KEY"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b[0-9.]+(ms|s)\b`), "DURATION"},
}

// steady FILE puts names in the place of what differs from one run of a program to the next, so
// that the file can be compared. Times that the script itself set are given as further arguments
// and stay.
func steady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: steady FILE [STAYS…]")
	}
	text := ts.ReadFile(args[0])
	for _, u := range unsteady {
		text = u.what.ReplaceAllStringFunc(text, func(m string) string {
			if slices.Contains(args[1:], m) {
				return m
			}
			return u.name
		})
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// keep NAME PATTERN FILE sets a variable to what the parentheses of a pattern match in a file.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: keep NAME PATTERN FILE")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(args[2]))
	if len(m) != 2 {
		ts.Fatalf("%s does not match %s", args[2], args[1])
	}
	ts.Setenv(args[0], m[1])
}

// hup sends SIGHUP to the daemon in the background.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: hup")
	}
	for _, cmd := range ts.BackgroundCmds() {
		if slices.Contains(cmd.Args, "serve") {
			ts.Check(cmd.Process.Signal(syscall.SIGHUP))
			return
		}
	}
	ts.Fatalf("there is no daemon in the background")
}

// poke FILE OFFSET BYTE… overwrites bytes of a file, given as numbers.
func poke(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: poke FILE OFFSET BYTE…")
	}
	var list []byte
	for _, a := range args[2:] {
		n, err := strconv.ParseUint(a, 0, 8)
		ts.Check(err)
		list = append(list, byte(n))
	}
	offset, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt(list, offset)
	ts.Check(err)
}
