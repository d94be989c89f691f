package enginetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

// Line is one line of what happens: how the attempts at something end, or what somebody says.
type Line struct {
	// Effect names the attempts that it is about, "PART VALUE"; "" for what somebody says.
	Effect  string
	Endings []Ending // one for each attempt in turn; the last stays

	After  time.Duration // of what somebody says: since the run began
	By     string
	Verb   string // approves, rejects, answers, cancels
	Step   string // the id or the path of the question's step; "": the first that is open
	Answer json.RawMessage
	Reason string
}

// Ending is one way for an attempt to end.
type Ending struct {
	Kind  string        // ok, refused, throttled, lost, nowhere, notyet
	Says  string        // of ok: its output, if not its input
	Takes time.Duration // from the effect to the answer
	Until time.Duration // the ending holds until so long after the run began, for any number of attempts; 0: for one
}

var (
	speech  = regexp.MustCompile(`^after (\S+): (\S+) (approves|rejects|answers|cancels)(?: (.*))?$`)
	ending  = regexp.MustCompile(`^(?:takes (\S+) )?(ok|refused|throttled|lost|nowhere|notyet|says ([^,]+?))(?: until (\S+))?$`)
	attempt = regexp.MustCompile(`^(\S+ [^:]+): (.+)$`)
)

// readScript reads lines such as
//
//	put x: throttled, ok
//	add x: takes 30s lost
//	read look: says no until 2m, says done
//	after 10m: anna approves ok
//	after 10m: anna answers was "it was me"
//	after 1h: boss cancels no longer needed
func readScript(text string) ([]Line, error) {
	var script []Line
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		l, err := readLine(line)
		if err != nil {
			return nil, fmt.Errorf("happens: %q: %w", line, err)
		}
		script = append(script, l)
	}
	return script, nil
}

func readLine(line string) (l Line, err error) {
	if m := speech.FindStringSubmatch(line); m != nil {
		l.By, l.Verb, l.Step = m[2], m[3], m[4]
		switch l.Verb {
		case "cancels":
			l.Step, l.Reason = "", m[4]
		case "answers":
			step, answer, _ := strings.Cut(m[4], " ")
			if l.Step, l.Answer = step, json.RawMessage(answer); !json.Valid(l.Answer) {
				return l, fmt.Errorf("the answer is not JSON")
			}
		}
		l.After, err = playbooks.ParseDuration(m[1])
		return l, err
	}
	m := attempt.FindStringSubmatch(line)
	if m == nil {
		return l, fmt.Errorf("write PART VALUE: ENDING, …, or after TIME: WHO approves|rejects|answers|cancels …")
	}
	l.Effect = m[1]
	for part := range strings.SplitSeq(m[2], ",") {
		e, err := readEnding(strings.TrimSpace(part))
		if err != nil {
			return l, err
		}
		l.Endings = append(l.Endings, e)
	}
	return l, nil
}

func readEnding(text string) (e Ending, err error) {
	m := ending.FindStringSubmatch(text)
	if m == nil {
		return e, fmt.Errorf("%q is no ending: there are ok, says TEXT, refused, throttled, lost, nowhere and notyet, with takes TIME before and until TIME behind", text)
	}
	e.Kind = m[2]
	if m[3] != "" {
		e.Kind, e.Says = "ok", m[3]
	}
	for text, into := range map[string]*time.Duration{m[1]: &e.Takes, m[4]: &e.Until} {
		if text == "" {
			continue
		}
		if *into, err = playbooks.ParseDuration(text); err != nil {
			return e, err
		}
	}
	return e, nil
}

// fault is the error of an attempt that ends so before it took effect, or after it.
func (e Ending) fault(happened bool) error {
	f := &actions.Fault{Code: "test", Message: e.Kind, Retry: e.Kind != "refused", Unknown: e.Kind == "lost" || e.Kind == "nowhere"}
	switch {
	case e.Kind == "ok" || (e.Kind == "lost") != happened:
		return nil
	case e.Kind == "notyet":
		return actions.NotYet("still at it")
	}
	return f
}

// oracle says how attempts end.
type oracle struct {
	script []Line
	asked  map[string]int    // which of the endings comes next
	last   map[string]Ending // what became of the latest attempt
}

// next is the ending of the next attempt at something, so long after the run began.
func (o *oracle) next(effect string, since time.Duration) Ending {
	e := o.find(effect, since)
	o.last[effect] = e
	return e
}

func (o *oracle) find(effect string, since time.Duration) Ending {
	i := slices.IndexFunc(o.script, func(l Line) bool { return l.Effect == effect })
	if i < 0 {
		return Ending{Kind: "ok"}
	}
	list, n := o.script[i].Endings, o.asked[effect]
	for n < len(list)-1 && list[n].Until > 0 && since >= list[n].Until {
		n++
	}
	o.asked[effect] = n
	if n < len(list)-1 && list[n].Until == 0 {
		o.asked[effect] = n + 1
	}
	return list[n]
}

// unheard lists the lines about attempts that were never made.
func (o *oracle) unheard() (list []string) {
	for _, l := range o.script {
		if _, made := o.last[l.Effect]; l.Effect != "" && !made {
			list = append(list, l.Effect)
		}
	}
	return list
}
