package message

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// scan checks that b is one JSON value and nothing else: RFC 8259 syntax, valid
// UTF-8 and paired surrogates, no repeated keys, depth and members under their
// limits. Values are not decoded and cost no memory.
//
// encoding/json alone would not do: it takes the last of repeated keys, replaces
// bad UTF-8, and allows nesting of 10,000.
func scan(b []byte) error {
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return fault(pipeline.CodeMsgInvalid, "the JSON starts with a byte order mark; send UTF-8 without one")
	}
	if !utf8.Valid(b) {
		return fault(pipeline.CodeMsgInvalid, "the JSON is not valid UTF-8 at byte %d", badUTF8(b))
	}
	s := &scanner{b: b}
	s.space()
	if err := s.value(1); err != nil {
		return err
	}
	s.space()
	if s.i < len(b) {
		return fault(pipeline.CodeMsgInvalid, "there is more after the JSON value's end, at byte %d; one record holds one value", s.i)
	}
	return nil
}

// badUTF8 is the offset of the first byte that is no part of valid UTF-8.
func badUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// scanner walks a JSON text by recursive descent; MaxDepth bounds the recursion.
type scanner struct {
	b    []byte
	i    int
	path []step                // to where it stands
	seen []map[string]struct{} // keys met, by depth; the maps are used again
}

func (s *scanner) fault(code codecs.Code, what string) error {
	return fault(code, "%s, at %s, byte %d", what, pointer(s.path), s.i)
}

func (s *scanner) invalid(what string) error { return s.fault(pipeline.CodeMsgInvalid, what) }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// value reads one value; depth is what it would have if it opened a container.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth > MaxDepth {
			return s.fault(pipeline.CodeMsgLimit, "the JSON is nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
		}
		if c == '{' {
			return s.object(depth)
		}
		return s.array(depth)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case s.i >= len(s.b):
		return s.invalid("the JSON ends early")
	}
	return s.invalid("a JSON value should start here")
}

func (s *scanner) object(depth int) error {
	for len(s.seen) < depth {
		s.seen = append(s.seen, map[string]struct{}{})
	}
	seen := s.seen[depth-1]
	clear(seen)
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		if s.peek() != '"' {
			return s.invalid("an object's key in double quotes should stand here")
		}
		start := s.i
		key, err := s.key()
		if err != nil {
			return err
		}
		s.path = append(s.path, step{key: key, keyed: true})
		if _, twice := seen[key]; twice {
			s.i = start
			return s.invalid("the key " + shown(key) + " stands twice in one object")
		}
		if len(seen) == MaxMembers {
			return s.fault(pipeline.CodeMsgLimit, "the object has more than "+strconv.Itoa(MaxMembers)+" members")
		}
		seen[key] = struct{}{}
		s.space()
		if s.peek() != ':' {
			return s.invalid("a colon should follow the key")
		}
		s.i++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

func (s *scanner) array(depth int) error {
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	s.path = append(s.path, step{})
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			s.path = s.path[:len(s.path)-1]
			return err
		}
		s.path[len(s.path)-1].index++
	}
}

// more steps over a comma (true) or the closing byte (false).
func (s *scanner) more(end byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.i++
		return true, nil
	case end:
		s.i++
		return false, nil
	}
	if s.i >= len(s.b) {
		return false, s.invalid("the JSON ends early")
	}
	return false, s.invalid("a comma or " + string(end) + " should stand here")
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return s.invalid("a JSON value should start here")
	}
	s.i += len(word)
	return nil
}

// number follows RFC 8259: no leading zeros, no bare point or exponent.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
	}
	switch c := s.peek(); {
	case c == '0':
		s.i++
	case c >= '1' && c <= '9':
		s.digits()
	default:
		return s.invalid("a digit should stand here")
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.invalid("a digit should follow the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.invalid("a digit should follow the exponent's e")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}
