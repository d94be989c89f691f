package secret

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Store knows the secrets of a configuration by name.
type Store struct {
	sources  map[string]Source
	scrubber *Scrubber
	log      *slog.Logger

	mu     sync.Mutex
	warned map[string]bool
}

// NewStore checks the form of the sources and reads none of them. A nil logger keeps quiet.
func NewStore(sources map[string]Source, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if err := sources[name].Check(); err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
	}
	return &Store{sources: maps.Clone(sources), scrubber: NewScrubber(), log: log, warned: map[string]bool{}}, nil
}

// Names lists the secrets, sorted. The names are no secret.
func (s *Store) Names() []string { return slices.Sorted(maps.Keys(s.sources)) }

// Resolve reads a secret from its place, each time anew. From then on the scrubber knows it.
func (s *Store) Resolve(name string) (Value, error) {
	source, ok := s.sources[name]
	if !ok {
		return Value{}, fmt.Errorf("no secret is named %q: %s", name, s.known())
	}
	v, warning, err := source.Read()
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", name, err)
	}
	s.scrubber.Add(v)
	if warning == "" && len(v.Reveal()) < MinScrubbed {
		warning = "secret " + name + " is too short to be taken out of logs: use a longer one"
	}
	s.warn(warning)
	return v, nil
}

func (s *Store) known() string {
	if len(s.sources) == 0 {
		return "the configuration lists none"
	}
	return "the configuration lists " + strings.Join(s.Names(), ", ")
}

// warn says each thing once.
func (s *Store) warn(warning string) {
	if warning == "" {
		return
	}
	s.mu.Lock()
	said := s.warned[warning]
	s.warned[warning] = true
	s.mu.Unlock()
	if !said {
		s.log.Warn("secret is not well kept", "why", warning)
	}
}

// Check reads every secret once and tells what is wrong, for a self-test: warnings and, by name,
// errors.
func (s *Store) Check() (warnings []string, errs map[string]error) {
	errs = map[string]error{}
	for _, name := range s.Names() {
		if _, err := s.Resolve(name); err != nil {
			errs[name] = err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.warned)), errs
}

// Scrubber returns what knows all values that were resolved.
func (s *Store) Scrubber() *Scrubber { return s.scrubber }
