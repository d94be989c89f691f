package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// MaxFileBytes is how large a file with a secret may be. A certificate with its chain and key
// fits many times.
const MaxFileBytes = 64 << 10

// Source is where configuration says that a secret is kept: exactly one of the two.
type Source struct {
	Env  string `yaml:"env,omitempty" json:"env,omitempty"`   // the name of an environment variable
	File string `yaml:"file,omitempty" json:"file,omitempty"` // the path of a file
}

// String names the place, which is no secret.
func (s Source) String() string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	}
	return "nowhere"
}

// Check says what is wrong with the form of a source. It reads nothing.
func (s Source) Check() error {
	switch {
	case s.Env == "" && s.File == "":
		return errors.New("a secret needs its place: {env: NAME} or {file: PATH}")
	case s.Env != "" && s.File != "":
		return errors.New("a secret has one place: env or file, not both")
	case strings.ContainsAny(s.Env, "= \t\r\n\x00"):
		return errors.New("env must be the name of an environment variable, not a value")
	case strings.ContainsRune(s.File, 0):
		return errors.New("file must be a path")
	}
	return nil
}

// Read fetches the secret. Line ends at the end of a file are not part of it. The warning, if
// any, is for the operator.
func (s Source) Read() (v Value, warning string, err error) {
	if err := s.Check(); err != nil {
		return Value{}, "", err
	}
	text := os.Getenv(s.Env)
	if s.File != "" {
		if text, warning, err = readFile(s.File); err != nil {
			return Value{}, "", err
		}
		text = strings.TrimRight(text, "\r\n")
	}
	if strings.TrimSpace(text) == "" {
		return Value{}, warning, fmt.Errorf("%s is empty or not set: put the secret there", s)
	}
	return New(text), warning, nil
}

// readFile reads a regular file up to the limit.
func readFile(path string) (text, warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", fmt.Errorf("secret file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", fmt.Errorf("secret file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", "", fmt.Errorf("secret file %s is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return "", "", fmt.Errorf("secret file: %w", err)
	}
	if len(data) > MaxFileBytes {
		return "", "", fmt.Errorf("secret file %s is larger than 64 KiB: is it the right file?", path)
	}
	if info.Mode().Perm()&0o004 != 0 {
		warning = fmt.Sprintf("secret file %s can be read by everybody on this machine: chmod 600 it", path)
	}
	return string(data), warning, nil
}
