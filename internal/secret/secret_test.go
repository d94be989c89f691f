package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

const hidden = "hunter2-hunter2/+&"

// holder keeps a value where fmt may not call its methods.
type holder struct {
	inner Value
	Outer Value
	Deep  map[string]any
}

func TestAValueIsNeverSeenHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	v := New(hidden)
	h := holder{inner: v, Outer: v, Deep: map[string]any{"a": []Value{v}, "b": &v}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %[1]v", "%10.3s"} {
		fmt.Fprintf(&out, verb+"\n", v)
		fmt.Fprintf(&out, verb+"\n", &v)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", []any{v, h})
	}
	fmt.Fprintln(&out, errors.New("bad secret "+fmt.Sprint(v)))
	for _, enc := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		data, err := enc(map[string]any{"value": v, "holder": h})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v, "h", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, "h", h)
	hexed := fmt.Sprintf("%x", hidden)
	for _, form := range []string{hidden, "hunter2", hexed, strings.ToUpper(hexed), base64.StdEncoding.EncodeToString([]byte(hidden))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is seen", form)
		}
	}
	if !strings.Contains(out.String(), Shown) || v.Reveal() != hidden || v.IsZero() || !(Value{}).IsZero() || !New("").IsZero() {
		t.Error("the value is not what it should be")
	}
	if !v.Equal(New(hidden)) || v.Equal(New("other")) || !(Value{}).Equal(New("")) {
		t.Error("values compare wrongly")
	}
}

func TestASecretIsReadFromItsPlaceEachTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PLAYBOOKD_TEST_SECRET", "from the environment")
	var log bytes.Buffer
	s, err := NewStore(map[string]Source{"env": {Env: "PLAYBOOKD_TEST_SECRET"}, "file": {File: file}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(name, want string) {
		t.Helper()
		if v, err := s.Resolve(name); err != nil || v.Reveal() != want {
			t.Errorf("%s is %q, %v", name, v.Reveal(), err)
		}
	}
	write(" first one \r\n\n", 0o600)
	resolve("env", "from the environment")
	resolve("file", " first one ")
	if log.Len() != 0 {
		t.Errorf("a warning without reason: %s", log.String())
	}
	write("second one", 0o644)
	resolve("file", "second one")
	resolve("file", "second one")
	if n := strings.Count(log.String(), "can be read by everybody"); n != 1 || strings.Contains(log.String(), "second one") {
		t.Errorf("warned %d times: %s", n, log.String())
	}
	if got := s.Scrubber().Scrub("first one, second one, from the environment"); got != "first one, "+Shown+", "+Shown {
		t.Errorf("scrubbed: %s", got)
	}
	if !slices.Equal(s.Names(), []string{"env", "file"}) {
		t.Errorf("names: %v", s.Names())
	}
	if warnings, errs := s.Check(); len(warnings) != 1 || len(errs) != 0 {
		t.Errorf("check: %v, %v", warnings, errs)
	}
}

func TestAMissingSecretIsNamedWithItsPlace(t *testing.T) {
	t.Setenv("PLAYBOOKD_TEST_EMPTY", " \n")
	dir := t.TempDir()
	blank, large, largest := filepath.Join(dir, "blank"), filepath.Join(dir, "large"), filepath.Join(dir, "largest")
	for name, data := range map[string][]byte{
		blank: []byte("\n"), large: bytes.Repeat([]byte("x"), MaxFileBytes+1), largest: bytes.Repeat([]byte("x"), MaxFileBytes),
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewStore(map[string]Source{
		"unset": {Env: "PLAYBOOKD_TEST_UNSET"}, "empty": {Env: "PLAYBOOKD_TEST_EMPTY"}, "blank": {File: blank},
		"gone": {File: filepath.Join(dir, "gone")}, "large": {File: large}, "largest": {File: largest}, "dir": {File: dir},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"unset": "PLAYBOOKD_TEST_UNSET", "empty": "PLAYBOOKD_TEST_EMPTY", "blank": blank, "gone": "gone",
		"large": "64 KiB", "dir": "not a regular file", "nope": "blank, dir, empty",
	} {
		if v, err := s.Resolve(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) || !v.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, err := s.Resolve("largest"); err != nil || len(v.Reveal()) != MaxFileBytes {
		t.Errorf("the largest file: %v", err)
	}
	for name, bad := range map[string]Source{
		"nothing": {}, "both": {Env: "A", File: "b"}, "a value": {Env: "A=b"}, "a zero byte": {File: "a\x00b"},
	} {
		if _, err := NewStore(map[string]Source{"it": bad}, nil); err == nil || !strings.Contains(err.Error(), "it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKnownSecretIsTakenOutInEveryFormItTravelsIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9+/ &"\\<äß~.-]{9,60}`).Draw(t, "secret")
		before := rapid.StringMatching(`[a-z:]{0,5}`).Draw(t, "before")
		after := rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "after")
		s := NewScrubber(New("another secret"), New(text))
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		inside := []byte(before + text + after)
		for name, form := range map[string]string{
			"plain": text, "query": url.QueryEscape(text), "path": url.PathEscape(text), "json": string(quoted[1 : len(quoted)-1]),
			"hex": fmt.Sprintf("%x", text), "HEX": fmt.Sprintf("%X", text),
		} {
			if got := s.Scrub("<<" + form + ">>"); got != "<<"+Shown+">>" {
				t.Fatalf("%s: %q became %q", name, form, got)
			}
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			got := s.Scrub("Basic " + enc.EncodeToString(inside))
			if !strings.Contains(got, Shown) || len(got) > len("Basic ")+len(Shown)+len(before)*2+len(after)*2+8 {
				t.Fatalf("%q of %q became %q", enc.EncodeToString(inside), text, got)
			}
		}
	})
}

func TestShortSecretsDoNotHideEverythingAndLongerOnesWin(t *testing.T) {
	t.Parallel()
	s := NewScrubber(New("abc"), New("abcd"), New("abcdefgh"))
	if got := s.Scrub("abc abcd abcdefgh"); got != "abc "+Shown+" "+Shown {
		t.Errorf("got %q", got)
	}
	if got := NewScrubber().Scrub("nothing known"); got != "nothing known" {
		t.Errorf("got %q", got)
	}
}

func TestTheLinesOfAPrivateKeyAreTakenOutOneByOne(t *testing.T) {
	t.Parallel()
	s := NewScrubber(New("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nshort\n-----END PRIVATE KEY-----\n"))
	if got := s.Scrub("parse MIIEvQIBADANBgkqhkiG9w0 -----BEGIN PRIVATE KEY----- short"); got != "parse "+Shown+" -----BEGIN PRIVATE KEY----- short" {
		t.Errorf("got %q", got)
	}
}

// leaky is a value that logs a secret when asked.
type leaky struct{}

func (leaky) LogValue() slog.Value { return slog.GroupValue(slog.String("deep", hidden)) }

// broken panics when asked to describe itself.
type broken struct{}

func (broken) Error() string { panic(hidden) }

func TestTheLogNeitherShowsSecretsNorLetsTextForgeLines(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		log := slog.New(NewHandler(make(&out), NewScrubber(New(hidden))))
		log.With("with", hidden).WithGroup("group "+hidden).Info("message "+hidden+"\nlevel=ERROR",
			hidden, "as a key", "error", fmt.Errorf("wrapped: %w", errors.New(hidden)), "bytes", []byte(hidden), "raw", json.RawMessage(`"`+hidden+`"`),
			"map", map[string]any{"a": []string{hidden}}, "leaky", leaky{}, "broken", broken{}, "url", &url.URL{Host: "h", RawQuery: url.QueryEscape(hidden)},
			"bidi", "a\u202eb\x1b[2Jc", "split", "hunter2-\u200bhunter2/+&", "func", func() {}, "none", nil,
			"n", 7, "ok", true, "d", time.Second)
		line := out.String()
		if strings.Contains(line, "hunter2") {
			t.Errorf("%s: a secret is seen in %s", name, line)
		}
		if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\u202e\u200b\x1b") || strings.Contains(line, `\u001b`) || strings.Contains(line, `\n`) {
			t.Errorf("%s: control characters in %q", name, line)
		}
		for _, want := range []string{"7", "true", "wrapped", "[secret.broken]"} {
			if !strings.Contains(line, want) {
				t.Errorf("%s: %q is missing in %s", name, want, line)
			}
		}
	}
}

func TestALogTextEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	for n, cut := range map[int]bool{MaxLogText: false, MaxLogText + 1: true} {
		var out bytes.Buffer
		slog.New(NewHandler(slog.NewJSONHandler(&out, nil), NewScrubber())).Info("x", "v", strings.Repeat("x", n))
		if got := strings.Contains(out.String(), "…"); got != cut || strings.Count(out.String(), "x") < MaxLogText {
			t.Errorf("%d bytes: cut %v", n, got)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\nb\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Plain(s)
		if strings.ContainsAny(got, "\n\r\x00\x1b\u202e\u2028") || Plain(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}
