package pipeline

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a credential. It prints as "redacted" everywhere: in logs, JSON, YAML and
// every format verb. Reveal gives the value to the one place that needs it.
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{v} }

// Reveal returns the value. Never print it.
func (s Secret) Reveal() string { return s.value }

// Set reports whether there is a value.
func (s Secret) Set() bool { return s.value != "" }

const redacted = "redacted"

// String returns "redacted", or "" where there is no value.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue keeps the value out of structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the value out of JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads where a secret is, never the secret itself: "file:/run/secrets/key"
// or "env:NAME". The text in a file loses white space at its ends.
func (s *Secret) UnmarshalText(b []byte) error {
	kind, where, _ := strings.Cut(string(b), ":")
	switch {
	case len(b) == 0:
		*s = Secret{}
		return nil
	case kind == "file" && where != "":
		v, err := os.ReadFile(where)
		if err != nil {
			return fmt.Errorf("reading a secret: %w", err)
		}
		if s.value = strings.TrimSpace(string(v)); s.value == "" {
			return fmt.Errorf("the secret in file %s is empty", where)
		}
		return nil
	case kind == "env" && where != "":
		if s.value = os.Getenv(where); s.value == "" {
			return fmt.Errorf("the environment variable %s, which should hold a secret, is not set", where)
		}
		return nil
	}
	return fmt.Errorf("a secret is not written into a configuration: say file:PATH or env:NAME where it is")
}
