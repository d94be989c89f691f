package expression

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// meterName is the name under which the machine finds the meter. It is not a name an author can write.
const meterName = "\x00meter"

// meter counts what an evaluation costs and carries what functions need to know about it.
type meter struct {
	now   time.Time
	scope map[string]any
	work  int
	bytes int
}

var (
	errWork  = errors.New("the evaluation takes too many steps; loop over fewer items")
	errBytes = errors.New("the evaluation produces too much text")
)

// spend charges steps.
func (m *meter) spend(steps int) error {
	m.work += steps
	if m.work > MaxWork || m.work < 0 {
		return errWork
	}
	return nil
}

// read charges for looking at text.
func (m *meter) read(texts ...string) error {
	total := 1
	for _, s := range texts {
		total += len(s) / bytesPerStep
	}
	return m.spend(total)
}

// write charges for producing text. It is called before the text is made.
func (m *meter) write(n int) error {
	if n < 0 || n > MaxBytes-m.bytes {
		return errBytes
	}
	m.bytes += n
	return m.spend(1 + n/bytesPerStep)
}

// run is one evaluation by the machine. Runs are used again, because a machine and a map for each evaluation
// would cost more than most evaluations.
type run struct {
	program *Program
	env     map[string]any
	meter   meter
	machine vm.VM
}

var runs = sync.Pool{New: func() any { return &run{env: map[string]any{}} }}

// newRun collects what the program names, and nothing else, from the scope.
func newRun(p *Program, scope map[string]any, now time.Time) *run {
	r := runs.Get().(*run)
	r.program, r.meter = p, meter{now: now, scope: scope}
	for _, name := range p.names {
		r.env[name] = scope[name]
	}
	r.env[meterName] = &r.meter
	return r
}

// release gives a run back after an evaluation that ended well. After another one nobody knows what the machine
// holds, and it is left to the garbage collector.
func (r *run) release() {
	if r == nil {
		return
	}
	clear(r.env)
	clear(r.machine.Variables)
	r.program, r.meter = nil, meter{}
	runs.Put(r)
}

// eval runs one term. The machine recovers from its own panics; the recover here is for ours.
func (r *run) eval(t *term) (v any, err error) {
	defer func() {
		if x := recover(); x != nil {
			v, err = nil, r.program.fault(fmt.Errorf("%v", x))
		}
	}()
	r.machine.MemoryBudget = memoryBudget
	v, err = r.machine.Run(t.code, r.env)
	if err == nil {
		return v, nil
	}
	return nil, r.translate(err)
}

// truth runs a term that must be true or false.
func (r *run) truth(t *term) (bool, error) {
	v, err := r.eval(t)
	if err != nil {
		return false, err
	}
	holds, ok := v.(bool)
	if !ok {
		return false, r.program.fault(fmt.Errorf("%s is %s, but true or false is needed", quoted(t.text), describe(v)))
	}
	return holds, nil
}

// translate turns an error of the machine into a Fault.
func (r *run) translate(err error) error {
	f := &Fault{Source: r.program.source, Message: err.Error(), Offset: -1}
	var fe *file.Error
	if errors.As(err, &fe) {
		f.Message, f.Offset = fe.Message, fe.From
	}
	f.Message = sayFault(f.Message)
	return f
}

var (
	conversionForm = regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (.+)$`)
	operationForm  = regexp.MustCompile(`^invalid operation: (.+?) ([-+*/%<>=]+) (.+)$`)
)

// sayFault says in the words of the language what the machine says in the words of Go.
func sayFault(message string) string {
	if m := conversionForm.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s is needed, but the value is %s%s", goType(m[2]), goType(m[1]), mendNil(m[1]))
	}
	if m := operationForm.FindStringSubmatch(message); m != nil {
		nilMend := mendNil(m[1])
		if nilMend == "" {
			nilMend = mendNil(m[3])
		}
		return fmt.Sprintf("%s does not work for %s and %s%s", m[2], goType(m[1]), goType(m[3]), nilMend)
	}
	if strings.HasPrefix(message, "runtime error: ") {
		return strings.TrimPrefix(message, "runtime error: ")
	}
	return message
}

// mendNil is advice for a missing value.
func mendNil(t string) string {
	if t == "nil" || t == "<nil>" {
		return "; write x ?? y to use y for a missing x"
	}
	return ""
}

// goType names a Go type in the words of the language.
func goType(t string) string {
	switch t {
	case "nil", "<nil>":
		return "missing (nil)"
	case "bool":
		return "true or false"
	case "string":
		return "text"
	case "int", "int64", "float64":
		return "a number"
	case "[]interface {}", "[]int":
		return "a list"
	case "map[string]interface {}":
		return "an object"
	case "time.Time":
		return "a time"
	case "time.Duration":
		return "a duration"
	}
	return t
}

// result makes a value plain: one integer type, one list type, texts as keys, no special numbers, within
// limits. Parts that are plain already are not copied.
func result(v any) (any, error) {
	left := maxResult
	return plainValue(v, 0, &left)
}

func plainValue(v any, depth int, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("the value has more than %d parts", maxResult)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("the value is nested more than %d deep", MaxDepth)
	}
	switch v := v.(type) {
	case nil, bool, int64, string, time.Time, time.Duration:
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errors.New("the value is not a number; a division by zero?")
		}
		return v, nil
	case []int:
		list := make([]any, len(v))
		for i, n := range v {
			list[i] = int64(n)
		}
		*left -= len(v)
		return list, nil
	case []any:
		return plainList(v, depth, left)
	case map[string]any:
		return plainMap(v, depth, left)
	}
	return nil, fmt.Errorf("a %T is not a value", v)
}

func plainList(v []any, depth int, left *int) (any, error) {
	var copied []any
	for i, item := range v {
		plain, err := plainValue(item, depth+1, left)
		if err != nil {
			return nil, err
		}
		if copied == nil && !same(item, plain) {
			copied = append(make([]any, 0, len(v)), v[:i]...)
		}
		if copied != nil {
			copied = append(copied, plain)
		}
	}
	if copied != nil {
		return copied, nil
	}
	return v, nil
}

func plainMap(v map[string]any, depth int, left *int) (any, error) {
	var copied map[string]any
	for key, item := range v {
		plain, err := plainValue(item, depth+1, left)
		if err != nil {
			return nil, err
		}
		if copied == nil && !same(item, plain) {
			copied = make(map[string]any, len(v))
			for k, old := range v {
				copied[k] = old
			}
		}
		if copied != nil {
			copied[key] = plain
		}
	}
	if copied != nil {
		return copied, nil
	}
	return v, nil
}

// same reports whether plainValue returned what it was given.
func same(before, after any) bool {
	switch b := before.(type) {
	case int, []int:
		return false
	case []any:
		a, ok := after.([]any)
		return ok && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case map[string]any:
		// A copied map is never the map it was copied from, and reading it costs less than comparing.
		a, ok := after.(map[string]any)
		return ok && samePointer(a, b)
	}
	return true
}

// samePointer reports whether two maps are one.
func samePointer(a, b map[string]any) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}
