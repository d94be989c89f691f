package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/daemon"
	"github.com/playbookd/playbookd/store"
)

// patience bounds every wait for something that should have happened.
const patience = 5 * time.Minute

// process is a program under way.
type process struct {
	name  string
	cmd   *exec.Cmd
	urls  map[string]string
	took  time.Duration // from its start until it served
	ended func(context.Context) (int, error)
	close func() error
}

// start starts a program that prints its addresses in one line of JSON.
func start(ctx context.Context, name, file string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, file, args...), urls: map[string]string{}} //nolint:gosec // our own programs
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.urls)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", name, err), p.stop())
	}
	return p, nil
}

// startServing starts a program that is ready when its health page says so.
func startServing(ctx context.Context, name, url, file string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, file, args...), urls: map[string]string{"http": url}} //nolint:gosec // our own programs
	p.cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	var err error
	for time.Since(begun) < patience/10 && ctx.Err() == nil {
		if _, err = get(ctx, url+"/readyz"); err == nil {
			p.took = time.Since(begun)
			return p, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s does not get ready: %w", name, err), p.stop())
}

// watchJournal counts the runs that ended in the journal of playbookd.
func (p *process) watchJournal(ctx context.Context, data string) error {
	r, err := store.OpenReader(ctx, filepath.Join(data, daemon.DatabaseName))
	if err != nil {
		return errors.Join(err, p.stop())
	}
	p.close = r.Close
	p.ended = func(ctx context.Context) (int, error) {
		counts, err := r.Counts(ctx)
		if n := counts[engine.Failed] + counts[engine.Parked]; n > 0 {
			return 0, fmt.Errorf("%d runs failed or are parked", n)
		}
		return counts[engine.Succeeded], err
	}
	return nil
}

// stop ends the program in order.
func (p *process) stop() error {
	var errs []error
	if p.close != nil {
		errs = append(errs, p.close())
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		errs = append(errs, err)
	}
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
		err = nil // the signal is how the target ends
	}
	return errors.Join(append(errs, err)...)
}

// waitFor waits until so many runs have ended in all.
func (p *process) waitFor(ctx context.Context, total int) error {
	for end := time.Now().Add(patience); ; {
		n, err := p.ended(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", p.name, err)
		case n == total:
			return nil
		case n > total:
			return fmt.Errorf("%s has recorded %d runs of %d", p.name, n, total)
		case time.Now().After(end):
			return fmt.Errorf("%s has recorded only %d runs of %d", p.name, n, total)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ticks is how many clock ticks Linux counts in a second of a process's time.
const ticks = 100

// cpu is the time that the program has used. Only Linux tells; elsewhere it is 0.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	total := 0
	for _, i := range []int{11, 12} { // user and system
		if n, err := strconv.Atoi(fields[i]); err == nil {
			total += n
		}
	}
	return time.Duration(total) * time.Second / ticks
}

// resident is the memory that the program holds, in bytes. Only Linux tells; elsewhere it is 0.
func (p *process) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				return n << 10
			}
		}
	}
	return 0
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", url, resp.StatusCode, body)
	}
	return body, err
}
