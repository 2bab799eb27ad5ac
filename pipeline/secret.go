package pipeline

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Secret is a credential. It prints as "redacted" everywhere: in logs, JSON, YAML and
// every format verb. Reveal gives the value to the one place that needs it.
type Secret struct{ value, from string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{value: v} }

// Reveal returns the value. Never print it.
func (s Secret) Reveal() string { return s.value }

// Set reports whether there is a value.
func (s Secret) Set() bool { return s.value != "" }

// Again is the secret as it stands now in the file or variable that it was read from, for
// one that is changed while the program runs. One that was made of a value stays as it is.
func (s Secret) Again() (now Secret, err error) {
	if s.from == "" {
		return s, nil
	}
	return now, now.UnmarshalText([]byte(s.from))
}

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
	var value string
	switch {
	case len(b) == 0:
		*s = Secret{}
		return nil
	case kind == "file" && where != "":
		v, err := os.ReadFile(where)
		if err != nil {
			return fmt.Errorf("reading a secret: %w", err)
		}
		if value = strings.TrimSpace(string(v)); value == "" {
			return fmt.Errorf("the secret in file %s is empty", where)
		}
	case kind == "env" && where != "":
		if value = os.Getenv(where); value == "" {
			return fmt.Errorf("the environment variable %s, which should hold a secret, is not set", where)
		}
	default:
		return fmt.Errorf("a secret is not written into a configuration: say file:PATH or env:NAME where it is")
	}
	*s = Secret{value, string(b)}
	return nil
}
