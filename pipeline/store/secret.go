package store

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that no log, error or dump shows: however it is printed or
// encoded, it comes out as "redacted" (or as nothing, if it is empty). Reveal gives
// the string itself.
type Secret string

const redacted = "redacted"

// Reveal returns the secret.
func (s Secret) Reveal() string { return string(s) }

// String returns "redacted", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format does for every verb what String does.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText serves JSON, YAML and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON shows what String does.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue shows what String does.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
