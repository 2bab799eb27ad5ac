package queue

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a password that never prints: not by fmt, log/slog, JSON or YAML.
// Convert it to a string to use it.
type Secret string

// Format prints "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, redacted) }

// LogValue prints "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText prints "[redacted]", in JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
