package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
)

// TokenEnv is the environment variable that holds the token of whoever uses the API.
const TokenEnv = "PLAYBOOKD_TOKEN"

// deskFlags say how the daemon is reached.
type deskFlags struct{ config, url, tokenFile, ca string }

func (f *deskFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", DefaultConfig, "configuration file, for the daemon's address")
	cmd.Flags().StringVar(&f.url, "url", "", "address of the daemon, instead of a configuration: https://host:port")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "file with your token; otherwise "+TokenEnv+" holds it")
	cmd.Flags().StringVar(&f.ca, "ca", "", "PEM file of the CA of the daemon's certificate")
}

// client talks to the daemon in the name of a person.
type client struct {
	base, token string
	http        *http.Client
}

func (f *deskFlags) client(s *streams) (*client, error) {
	c := &client{base: strings.TrimRight(f.url, "/"), token: os.Getenv(TokenEnv), http: &http.Client{Timeout: time.Minute}}
	if err := checkBase(c.base); err != nil {
		return nil, err
	}
	if c.base == "" {
		conf, err := s.config(f.config)
		if err != nil {
			return nil, err
		}
		c.base = "http://" + conf.Listen
		if conf.TLSCert != "" {
			c.base = "https://" + conf.Listen
		}
	}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("token: %s can't be read: %w", f.tokenFile, plainError(err))
		}
		c.token = strings.TrimSpace(string(text))
	}
	if c.token == "" {
		return nil, fmt.Errorf("who are you? Put your token into %s, or name a file with --token-file", TokenEnv)
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no PEM certificate", f.ca)
		}
		c.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	}
	return c, nil
}

// checkBase refuses addresses to which a token would travel for everybody on the way to read.
func checkBase(base string) error {
	if base == "" {
		return nil
	}
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("--url %q is no address of a daemon: write https://host:port", base)
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return fmt.Errorf("--url %q has no TLS, and your token is a secret: write https://host:port", base)
	}
	return nil
}

// errNotRunning means that nobody listens, so that nothing was said to anybody.
var errNotRunning = errors.New("no daemon listens")

// call makes one request. A token is only sent to where the person said, so redirects are refused.
func (c *client) call(ctx context.Context, method, path string, body, into any) error {
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, send)
	if err != nil {
		return fmt.Errorf("address %s: %w", c.base, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the daemon never redirects") }
	resp, err := c.http.Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("%w at %s: is playbookd serve running? %w", errNotRunning, c.base, plainError(err))
	}
	if err != nil {
		return fmt.Errorf("the daemon at %s can't be reached: is playbookd serve running? %w", c.base, plainError(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("the daemon's answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		if json.Unmarshal(text, &said) != nil || said.Error == "" {
			said.Error = resp.Status
		}
		return errors.New(plain(said.Error, 1000))
	}
	return json.Unmarshal(text, into)
}

func newApprovals(s *streams) *cobra.Command {
	var f deskFlags
	cmd := &cobra.Command{
		Use: "approvals", Short: "List what people are asked and have not answered", Args: args(0, 0),
		Long: `Approvals lists the questions of runs that wait for people, the most urgent first. It asks the running daemon, with your
token: the configuration's people: says whose token is whose.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(s)
			if err != nil {
				return err
			}
			got := struct {
				Approvals []engine.Question `json:"approvals"`
				More      int               `json:"more"` // runs that ask something, too
			}{}
			if err := c.call(cmd.Context(), http.MethodGet, "/api/approvals", nil, &got); err != nil {
				return err
			}
			if s.json {
				return s.printJSON(got)
			}
			if len(got.Approvals) == 0 && got.More == 0 {
				_, err := fmt.Fprintln(s.err, "nobody is asked anything")
				return err
			}
			var rows [][]string
			for _, q := range got.Approvals {
				rows = append(rows, []string{q.Asked.ID, timeLeft(q.Asked.Until), fmt.Sprintf("%d/%d", len(q.Votes), q.Asked.Count),
					plain(strings.Join(q.Asked.By, ", "), 40), string(q.Run), plain(q.Asked.Title, 80)})
			}
			if err := table(s.out, []string{"QUESTION", "TIME LEFT", "ANSWERS", "ASKED", "RUN", "TITLE"}, rows); err != nil || got.More == 0 {
				return err
			}
			_, err = fmt.Fprintf(s.err, "%d more runs ask something, too: these are the questions of those that began first\n", got.More)
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func timeLeft(t time.Time) string {
	left := time.Until(t).Round(time.Second)
	if left < 0 {
		return "none"
	}
	return left.String()
}

func newApprove(s *streams) *cobra.Command {
	return decision(s, "approve", "Agree to what a run asks for", map[string]any{"approve": true})
}

func newReject(s *streams) *cobra.Command {
	return decision(s, "reject", "Say no to what a run asks for", map[string]any{"approve": false})
}

// decision is approve or reject.
func decision(s *streams, name, short string, say map[string]any) *cobra.Command {
	var f deskFlags
	var comment string
	cmd := &cobra.Command{
		Use: name + " QUESTION", Short: short, Args: args(1, 1),
		Long: `The question is printed first, and the answer is to exactly that text: if the daemon asks something else by now, the answer
does not count.`,
		Example: "  playbookd " + name + " q4k2m9c1v7s0a",
		RunE: func(cmd *cobra.Command, args []string) error {
			say["comment"] = comment
			return s.answer(cmd.Context(), f, args[0], func(engine.Question) (map[string]any, error) { return say, nil })
		},
	}
	cmd.Flags().StringVar(&comment, "comment", "", "why; kept with the answer")
	f.add(cmd)
	return cmd
}

func newAnswer(s *streams) *cobra.Command {
	var f deskFlags
	var comment string
	cmd := &cobra.Command{
		Use: "answer QUESTION ANSWER…", Short: "Answer what a run asks", Args: args(2, -1),
		Long:    `Answer gives one of the choices, or the fields of the form as NAME=VALUE. Numbers, true, false and lists are written as JSON.`,
		Example: "  playbookd answer q4k2m9c1v7s0a \"it was me\"\n  playbookd answer q4k2m9c1v7s0a devices=3 reason=maintenance",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.answer(cmd.Context(), f, args[0], func(q engine.Question) (map[string]any, error) {
				v, err := filledIn(q, args[1:])
				return map[string]any{"answer": v, "comment": comment}, err
			})
		},
	}
	cmd.Flags().StringVar(&comment, "comment", "", "kept with the answer")
	f.add(cmd)
	return cmd
}

// filledIn is the answer that the words of a command line give.
func filledIn(q engine.Question, words []string) (any, error) {
	if len(q.Form) == 0 {
		return strings.Join(words, " "), nil
	}
	fields := map[string]any{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not NAME=VALUE: the question has a form to fill in", word)
		}
		fields[name] = value
		for _, in := range q.Form {
			var v any
			if in.Name == name && in.Type != "text" && json.Unmarshal([]byte(value), &v) == nil {
				fields[name] = v
			}
		}
	}
	return fields, nil
}

// answer shows a question and answers it.
func (s *streams) answer(ctx context.Context, f deskFlags, id string, say func(engine.Question) (map[string]any, error)) error {
	c, err := f.client(s)
	if err != nil {
		return err
	}
	path := "/api/approvals/" + url.PathEscape(id)
	var q engine.Question
	if err := c.call(ctx, http.MethodGet, path, nil, &q); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s asks: %s\n", q.Run, plain(q.Asked.Title, 300))
	for _, line := range strings.Split(q.Asked.Details, "\n") {
		if line = plain(line, 2000); line != "" {
			fmt.Fprintf(s.err, "  %s\n", line)
		}
	}
	body, err := say(q)
	if err != nil {
		return err
	}
	body["digest"] = q.Asked.Digest
	var got map[string]string
	if err := c.call(ctx, http.MethodPost, path, body, &got); err != nil {
		return err
	}
	if s.json {
		return s.printJSON(got)
	}
	fmt.Fprintf(s.out, "answered: see playbookd show %s\n", got["run"])
	return nil
}

func newCancel(s *streams) *cobra.Command {
	var f deskFlags
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Call a run off: what is in the air lands, finally runs", Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(s)
			if err != nil {
				return err
			}
			var got map[string]string
			err = c.call(cmd.Context(), http.MethodPost, "/api/runs/"+url.PathEscape(args[0])+"/cancel", map[string]string{"reason": reason}, &got)
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(got)
			}
			fmt.Fprintf(s.out, "canceled: see playbookd show %s\n", got["run"])
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept with the run")
	f.add(cmd)
	return cmd
}

func newStart(s *streams) *cobra.Command {
	var f deskFlags
	var event, inputs string
	cmd := &cobra.Command{
		Use: "start PLAYBOOK", Short: "Have the daemon start a playbook with a manual trigger", Args: args(1, 1),
		Example: "  playbookd start contain-user --inputs '{\"user\": \"eve@contoso.example\"}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(s)
			if err != nil {
				return err
			}
			body := map[string]any{}
			if event != "" {
				text, err := s.event(event)
				if err != nil {
					return err
				}
				if !json.Valid(text) {
					return fmt.Errorf("event: what %s holds is not JSON", event)
				}
				body["event"] = json.RawMessage(text)
			}
			if inputs != "" {
				if !json.Valid([]byte(inputs)) {
					return errors.New(`--inputs is not JSON: write an object, such as {"user": "eve@contoso.example"}`)
				}
				body["inputs"] = json.RawMessage(inputs)
			}
			var got map[string]string
			if err := c.call(cmd.Context(), http.MethodPost, "/api/playbooks/"+url.PathEscape(args[0])+"/runs", body, &got); err != nil {
				return err
			}
			if s.json {
				return s.printJSON(got)
			}
			fmt.Fprintf(s.out, "started: see playbookd show %s\n", got["run"])
			return nil
		},
	}
	cmd.Flags().StringVar(&event, "event", "", "file with the event as JSON; - is standard input")
	cmd.Flags().StringVar(&inputs, "inputs", "", "the inputs of the manual trigger, as a JSON object")
	f.add(cmd)
	return cmd
}
