package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
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
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_PROXY", "*")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "until": until, "listen": listen,
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

// until PATTERN COMMAND… runs a command again and again until its output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out, errs string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, errs, _ = command(ts, args[1:])
		if want.MatchString(out) || want.MatchString(errs) {
			ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(out), 0o600))
			return
		}
	}
	ts.Fatalf("no output matched %s; the last was\n%s%s", args[0], out, errs)
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	addr := l.Addr().String()
	ts.Check(l.Close())
	file := ts.MkAbs(args[0])
	text, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, bytes.Replace(text, []byte("127.0.0.1:8484"), []byte(addr), 1), 0o600))
	ts.Setenv("ADDR", addr)
}
