package expression

import (
	"fmt"
	"slices"
	"strings"
)

// kind is the shape of a value.
type kind int

const (
	kindAny kind = iota
	kindNil
	kindBool
	kindInt
	kindNumber
	kindText
	kindTime
	kindDuration
	kindList
	kindObject
)

// Type is what is known of a value before it exists. The zero Type is Any. Types are immutable and may be
// shared. A value of every type may be nil at run time: Graph leaves out and nulls whatever it likes.
type Type struct {
	kind   kind
	elem   *Type // of a list
	shape  *shape
	values []string // of a text that is an enumeration
	hints  map[string]string
}

// shape is the content of an object type, behind a pointer so that types stay small and can nest.
type shape struct {
	fields map[string]Type
	open   bool
}

// The types of single values.
var (
	Any      = Type{}
	Bool     = Type{kind: kindBool}
	Int      = Type{kind: kindInt}
	Number   = Type{kind: kindNumber}
	Text     = Type{kind: kindText}
	Time     = Type{kind: kindTime}     // holds a time.Time
	Duration = Type{kind: kindDuration} // holds a time.Duration

	nilType = Type{kind: kindNil}
)

// List is the type of lists whose items have type of.
func List(of Type) Type { return Type{kind: kindList, elem: &of} }

// Object is the type of objects with these fields and no others: naming another one is a Problem.
func Object(fields map[string]Type) Type {
	return Type{kind: kindObject, shape: &shape{fields: fields}}
}

// OpenObject is the type of objects that may have fields beyond those named, as Graph's have after its next
// release. A field without a declaration can be read only as object["field"], which says that it is meant.
func OpenObject(fields map[string]Type) Type {
	return Type{kind: kindObject, shape: &shape{fields: fields, open: true}}
}

// Enum is text that is one of values. Comparing it with a constant that is none of them is a Problem; an author
// who knows of a newer value writes string(x) == "…", which is any text.
func Enum(values ...string) Type {
	return Type{kind: kindText, values: slices.Clone(values)}
}

// EnumHints is Enum with other words people use for a value, so that a Problem can say what Graph calls it:
// {"critical": "high"}.
func EnumHints(hints map[string]string, values ...string) Type {
	t := Enum(values...)
	t.hints = hints
	return t
}

// IsAny reports whether nothing is known of the type.
func (t Type) IsAny() bool { return t.kind == kindAny }

// IsText reports whether values are text.
func (t Type) IsText() bool { return t.kind == kindText }

// IsBool reports whether values are true or false.
func (t Type) IsBool() bool { return t.kind == kindBool }

// IsNumber reports whether values are numbers, whole or not.
func (t Type) IsNumber() bool { return t.kind == kindInt || t.kind == kindNumber }

// IsTime reports whether values are points in time.
func (t Type) IsTime() bool { return t.kind == kindTime }

// IsList reports whether values are lists, and of what.
func (t Type) IsList() (item Type, ok bool) {
	if t.kind != kindList {
		return Any, false
	}
	return t.item(), true
}

// IsObject reports whether values are objects.
func (t Type) IsObject() bool { return t.kind == kindObject }

// IsOpen reports whether an object may have fields beyond those declared.
func (t Type) IsOpen() bool { return t.shape != nil && t.shape.open }

// Field returns the type of a declared field of an object.
func (t Type) Field(name string) (Type, bool) {
	if t.shape == nil {
		return Any, false
	}
	f, ok := t.shape.fields[name]
	return f, ok
}

// Fields returns the names of an object's declared fields, sorted.
func (t Type) Fields() []string {
	if t.shape == nil {
		return nil
	}
	names := make([]string, 0, len(t.shape.fields))
	for name := range t.shape.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Values returns the values of an enumeration, nil for other types.
func (t Type) Values() []string { return slices.Clone(t.values) }

// item is the type of a list's items.
func (t Type) item() Type {
	if t.elem == nil {
		return Any
	}
	return *t.elem
}

// String names the type as people would.
func (t Type) String() string {
	switch t.kind {
	case kindNil:
		return "nil"
	case kindBool:
		return "true or false"
	case kindInt:
		return "a whole number"
	case kindNumber:
		return "a number"
	case kindText:
		if len(t.values) > 0 && len(t.values) <= 8 {
			return "one of " + strings.Join(t.values, ", ")
		}
		return "text"
	case kindTime:
		return "a time"
	case kindDuration:
		return "a duration"
	case kindList:
		if item := t.item(); !item.IsAny() {
			return fmt.Sprintf("a list (each %s)", item.brief())
		}
		return "a list"
	case kindObject:
		return "an object"
	}
	return "any value"
}

// brief is String without the values of an enumeration.
func (t Type) brief() string {
	if t.kind == kindText {
		return "text"
	}
	return t.String()
}

// Accepts reports whether a value of type arg can stand where t is wanted. What is not known passes.
func (t Type) Accepts(arg Type) bool { return t.accepts(arg) }

// accepts reports whether an argument of type arg can be given where t is wanted. What is not known passes;
// the function looks at the value again.
func (t Type) accepts(arg Type) bool {
	switch {
	case t.kind == kindAny, arg.kind == kindAny, arg.kind == kindNil:
		return true
	case t.kind == kindNumber:
		return arg.IsNumber()
	case t.kind == kindList && arg.kind == kindList:
		return t.item().accepts(arg.item())
	}
	return t.kind == arg.kind
}

// join is the type of a value that has either of two types.
func join(a, b Type) Type {
	switch {
	case a.kind == kindNil:
		return b
	case b.kind == kindNil:
		return a
	case a.IsNumber() && b.IsNumber():
		if a.kind == b.kind {
			return a
		}
		return Number
	case a.kind != b.kind:
		return Any
	}
	switch a.kind {
	case kindText:
		if slices.Equal(a.values, b.values) {
			return a
		}
		return Text
	case kindList:
		if a.elem == b.elem {
			return a
		}
		return List(join(a.item(), b.item()))
	case kindObject:
		return joinObjects(a, b)
	}
	return a
}

// joinObjects keeps the fields of both; what only one has cannot be relied on, so the result is open if they
// differ.
func joinObjects(a, b Type) Type {
	if a.shape == b.shape {
		return a
	}
	fields := make(map[string]Type, len(a.shape.fields))
	for name, t := range a.shape.fields {
		if u, ok := b.shape.fields[name]; ok {
			fields[name] = join(t, u)
		} else {
			fields[name] = t
		}
	}
	for name, u := range b.shape.fields {
		if _, ok := fields[name]; !ok {
			fields[name] = u
		}
	}
	return Type{kind: kindObject, shape: &shape{fields: fields, open: a.shape.open || b.shape.open}}
}
