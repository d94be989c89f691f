package expression

// Call is how a function is called, for the grammar of the fuzz targets.
type Call struct {
	Name     string
	Params   []Type
	Least    int // arguments
	Variadic bool
	Result   Type // Any if it depends on the arguments
}

// Calls lists the functions of the language.
func Calls() []Call {
	var list []Call
	for _, f := range functions() {
		c := Call{Name: f.name, Variadic: f.variadic, Result: f.typ}
		for _, p := range f.params {
			c.Params = append(c.Params, p.typ)
			if !p.optional {
				c.Least++
			}
		}
		list = append(list, c)
	}
	return list
}

// IsDuration reports whether values are durations.
func (t Type) IsDuration() bool { return t.kind == kindDuration }

// Holds reports whether a value is of the type, as far down as the type says something.
func (t Type) Holds(v any) bool {
	if v == nil || t.kind == kindAny {
		return true
	}
	if !t.accepts(typeOf(v)) {
		return false
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if !t.item().Holds(item) {
				return false
			}
		}
	case map[string]any:
		for name, field := range v {
			if ft, ok := t.Field(name); ok && !ft.Holds(field) {
				return false
			}
		}
	}
	return true
}
