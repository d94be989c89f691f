// Command playbookd automates Microsoft Defender and Entra with playbooks.
//
// This package holds words, not work: each command has a file, reads its flags, calls the package
// that does the work and prints what came of it. The rules of printing are the same everywhere:
// standard output is data, standard error is talk; --json makes the data JSON; colour and
// progress appear only on a terminal; the exit code is 0 for success, 1 when something was found
// or failed that the command is there to report, 2 when the command could not do its work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules name time zones; the machine may not know them

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitOK     = 0
	exitFound  = 1 // findings, a failed run: the answer is "no"
	exitBroken = 2 // the command could not do its work
)

// streams is where a command reads and prints.
type streams struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	// Colour and progress are for people: only when the stream is a terminal.
	color    bool // of standard output
	errColor bool // of standard error
	progress bool // on standard error
}

// exitError ends the program with a code. Its text, if any, is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// found is the error of a command that did its work and whose answer is "no".
func found() error { return &exitError{code: exitFound} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal kills at once: the journal makes that safe.
	context.AfterFunc(ctx, stop)
	outTerminal, errTerminal := term.IsTerminal(int(os.Stdout.Fd())), term.IsTerminal(int(os.Stderr.Fd()))
	colorful := os.Getenv("NO_COLOR") == ""
	code := run(ctx, os.Args[1:], &streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		color: outTerminal && colorful, errColor: errTerminal && colorful, progress: errTerminal,
	})
	stop()
	os.Exit(code)
}

// maxErrorLine is how many characters of one line of an error are shown.
const maxErrorLine = 4000

// run is the whole program with its streams replaceable.
func run(ctx context.Context, args []string, s *streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		err = fmt.Errorf("%s: see playbookd --help", strings.Join(strings.Fields(err.Error()), " "))
	}
	code := exitBroken
	if e, ok := errors.AsType[*exitError](err); ok {
		code = e.code
	}
	if text := err.Error(); text != "" {
		lines := strings.Split(text, "\n")
		for i := range lines {
			lines[i] = plain(lines[i], maxErrorLine)
		}
		fmt.Fprintln(s.err, "playbookd:", strings.Join(lines, "\n"))
	}
	return code
}

// newHelp is help as the flag gives it, but for a command that there is not, which is a mistake.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			c, _, err := root.Find(args)
			if err != nil {
				return err
			}
			return c.Help()
		},
	}
}

// args says how many arguments a command takes, in the words of its own usage line.
func args(low, high int) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < low:
			return fmt.Errorf("something is missing: %s", c.UseLine())
		case high >= 0 && len(given) > high:
			return fmt.Errorf("%q is too much: %s", given[high], c.UseLine())
		}
		return nil
	}
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "playbookd",
		Short: "Security automation as code for Microsoft Defender and Entra",
		Long: `playbookd runs playbooks: YAML files that say which alerts concern them, when to act, and what to do.
It polls Microsoft Graph, takes webhooks and keeps a record of every event, decision, run and effect.

To see it work without an account:  playbookd demo

Exit codes: 0 success; 1 findings, or a run that failed; 2 the command could not do its work.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().BoolVar(&s.json, "json", false, "print data as JSON")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, c.CommandPath())
	})
	root.SetHelpCommand(newHelp(root))
	root.AddCommand(
		newDemo(s), newSimulate(s), newServe(s), newCheck(s), newFormat(s), newTest(s), newRun(s), newRuns(s), newShow(s), newSLA(s), newResolve(s), newRelease(s), newBackup(s),
		newApprovals(s), newApprove(s), newReject(s), newAnswer(s), newCancel(s), newStart(s),
		newActions(s), newSchema(s), newExplain(s), newVersion(s),
	)
	return root
}
