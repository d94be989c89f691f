package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/internal/secret"
)

// The limits of the API.
const (
	// MaxDeskBody is how large the body of a request to the API may be.
	MaxDeskBody = 512 << 10
	// DeskTimeout is how long recording what a person says may take.
	DeskTimeout = 20 * time.Second
)

// Desk is where people's words go.
type Desk interface {
	// Approvals lists what is asked and not answered yet, the most urgent first, and says how many more
	// runs ask something than could be looked at.
	Approvals(ctx context.Context) (list []engine.Question, more int, err error)
	// Question finds an open question; [engine.ErrNotFound] if there is none with that ID.
	Question(ctx context.Context, id string) (engine.Question, error)
	// Answer records an answer. The errors are those of [engine.Engine.Answer].
	Answer(ctx context.Context, q engine.Question, d engine.AnsweredData) error
	// Cancel calls a run off. A run is named by its ID or the beginning of it; the whole is returned.
	Cancel(ctx context.Context, run string, d engine.CancelData) (engine.RunID, error)
	// Resolve settles an uncertain step of a parked run.
	Resolve(ctx context.Context, run, step string, d engine.ResolveData) (engine.RunID, error)
	// Release lets a run go on where the ceiling or a limit holds it, or calls it off.
	Release(ctx context.Context, run string, d engine.ReleasedData) (engine.RunID, error)
	// Start starts a playbook by hand.
	Start(ctx context.Context, playbook, by string, event, inputs json.RawMessage) (engine.RunID, error)
}

// deskRoutes serves what people do. Every route needs a person's token. What only looks is a GET and
// never decides anything, however often a link to it is opened.
//
//	GET  /api/approvals                what is asked
//	GET  /api/approvals/{question}     one question
//	POST /api/approvals/{question}     {"digest", "approve" or "answer", "comment"}
//	POST /api/runs/{run}/cancel        {"reason"}; role operator
//	POST /api/runs/{run}/resolve       {"step", "happened", "note"}; role operator
//	POST /api/runs/{run}/release       {"cancel", "note"}; role operator
//	POST /api/playbooks/{name}/runs    {"event", "inputs"}; role operator
//
// Answers: 200 done; 400 the body is not what it should be; 401 no valid token; 403 may not; 404 no
// such thing, or not open any more; 409 the answer does not count, and why; 503 try again.
func (s *Server) deskRoutes(mux *http.ServeMux) {
	d := &desk{s: s}
	mux.HandleFunc("GET /api/approvals", d.as("", d.list))
	mux.HandleFunc("GET /api/approvals/{question}", d.as("", d.one))
	mux.HandleFunc("POST /api/approvals/{question}", d.as("", d.answer))
	mux.HandleFunc("POST /api/runs/{run}/cancel", d.as(OperatorRole, d.cancel))
	mux.HandleFunc("POST /api/runs/{run}/resolve", d.as(OperatorRole, d.resolve))
	mux.HandleFunc("POST /api/runs/{run}/release", d.as(OperatorRole, d.release))
	mux.HandleFunc("POST /api/playbooks/{name}/runs", d.as(OperatorRole, d.start))
}

type desk struct {
	s     *Server
	known secret.Recent[[]credential]
}

// refused is what a request is answered with instead.
type refused struct {
	status  int
	message string
}

func (r *refused) Error() string { return r.message }

// as lets a person with a role through. The empty role is everybody's who has a token.
func (d *desk) as(role string, do func(*http.Request, Person) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := d.who(r)
		switch {
		case err != nil:
			w.Header().Set("WWW-Authenticate", "Bearer")
			reply(w, http.StatusUnauthorized, problem("give your token as Authorization: Bearer TOKEN"))
			return
		case role != "" && !p.Has(role):
			reply(w, http.StatusForbidden, problem("this needs the role "+role))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), DeskTimeout)
		defer cancel()
		v, err := do(r.WithContext(ctx), p)
		if err == nil {
			reply(w, http.StatusOK, v)
			return
		}
		status := d.status(err)
		if status == http.StatusServiceUnavailable {
			d.s.log.Error("a person's word is not recorded for certain", "person", p.Name, "err", err)
			err = errors.New("it is not recorded for certain: look, and say it again if need be")
		}
		reply(w, status, problem(err.Error()))
	}
}

// status is how an error is answered.
func (d *desk) status(err error) int {
	var no *refused
	switch {
	case errors.As(err, &no):
		return no.status
	case errors.Is(err, engine.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, engine.ErrMayNot), errors.Is(err, engine.ErrNotHeld):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func problem(message string) any { return map[string]string{"error": oneLine(message)} }

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

// body reads the JSON object of a request.
func body(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, MaxDeskBody+1))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return &refused{http.StatusBadRequest, fmt.Sprintf("the body is not the JSON object it should be: %v", err)}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &refused{http.StatusBadRequest, "the body has more than one JSON object, or is too large"}
	}
	return nil
}

func (d *desk) list(r *http.Request, _ Person) (any, error) {
	list, more, err := d.s.o.Desk.Approvals(r.Context())
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []engine.Question{}
	}
	return map[string]any{"approvals": list, "more": more}, nil
}

func (d *desk) one(r *http.Request, _ Person) (any, error) {
	return d.s.o.Desk.Question(r.Context(), r.PathValue("question"))
}

func (d *desk) answer(r *http.Request, p Person) (any, error) {
	var given struct {
		Digest  string          `json:"digest"`
		Approve *bool           `json:"approve"`
		Answer  json.RawMessage `json:"answer"`
		Comment string          `json:"comment"`
	}
	if err := body(r, &given); err != nil {
		return nil, err
	}
	q, err := d.s.o.Desk.Question(r.Context(), r.PathValue("question"))
	switch {
	case err != nil:
		return nil, err
	case given.Digest == "":
		return nil, &refused{http.StatusBadRequest, "digest is missing: it says which question, word for word, the answer is to"}
	case q.Asked.Approve && (given.Approve == nil || given.Answer != nil):
		return nil, &refused{http.StatusBadRequest, "an approval is answered with approve: true or false"}
	case !q.Asked.Approve && (given.Approve != nil || given.Answer == nil):
		return nil, &refused{http.StatusBadRequest, "the question is answered with answer"}
	}
	data := engine.AnsweredData{By: p.Name, Roles: p.Roles, Digest: given.Digest, Answer: given.Answer, Comment: given.Comment}
	if given.Approve != nil {
		data.Approve = *given.Approve
	}
	if err := d.s.o.Desk.Answer(r.Context(), q, data); err != nil {
		return nil, err
	}
	return map[string]string{"run": string(q.Run), "question": q.Asked.ID}, nil
}

func (d *desk) cancel(r *http.Request, p Person) (any, error) {
	var given struct {
		Reason string `json:"reason"`
	}
	if err := body(r, &given); err != nil {
		return nil, err
	}
	return said(d.s.o.Desk.Cancel(r.Context(), r.PathValue("run"), engine.CancelData{By: p.Name, Reason: given.Reason}))
}

func (d *desk) resolve(r *http.Request, p Person) (any, error) {
	var given struct {
		Step     string `json:"step"`
		Happened *bool  `json:"happened"`
		Note     string `json:"note"`
	}
	if err := body(r, &given); err != nil {
		return nil, err
	}
	if given.Step == "" || given.Happened == nil {
		return nil, &refused{http.StatusBadRequest, "say which step, and whether it happened: {\"step\": PATH, \"happened\": true or false}"}
	}
	data := engine.ResolveData{Happened: *given.Happened, By: p.Name, Note: given.Note}
	return said(d.s.o.Desk.Resolve(r.Context(), r.PathValue("run"), given.Step, data))
}

func (d *desk) release(r *http.Request, p Person) (any, error) {
	var given struct {
		Cancel bool   `json:"cancel"`
		Note   string `json:"note"`
	}
	if err := body(r, &given); err != nil {
		return nil, err
	}
	data := engine.ReleasedData{By: p.Name, Note: given.Note, Cancel: given.Cancel}
	return said(d.s.o.Desk.Release(r.Context(), r.PathValue("run"), data))
}

// said is the answer to a word on a run that was recorded.
func said(run engine.RunID, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]string{"run": string(run)}, nil
}

func (d *desk) start(r *http.Request, p Person) (any, error) {
	var given struct {
		Event  json.RawMessage `json:"event"`
		Inputs json.RawMessage `json:"inputs"`
	}
	if err := body(r, &given); err != nil {
		return nil, err
	}
	return said(d.s.o.Desk.Start(r.Context(), r.PathValue("name"), p.Name, given.Event, given.Inputs))
}

// Refuse makes an error of a [Desk] that the person can do something about.
func Refuse(format string, args ...any) error {
	return &refused{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}
