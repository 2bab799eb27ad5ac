package message

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// key reads a string and decodes it.
func (s *scanner) key() (string, error) {
	raw, err := s.str()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var k string
	if err := json.Unmarshal(raw, &k); err != nil {
		return "", s.invalid("the key is not a JSON string")
	}
	return k, nil
}

// str steps over a string and returns it with its quotes.
func (s *scanner) str() ([]byte, error) {
	from := s.i
	s.i++
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[from:s.i], nil
		case c < 0x20:
			return nil, s.invalid("a control character stands bare in a string; write it as \\u00XX")
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.i++
		}
	}
	return nil, s.invalid("the JSON ends inside a string")
}

// escape steps over an escape, both halves of a surrogate pair at once.
func (s *scanner) escape() error {
	s.i++
	c := s.peek()
	if c != 'u' {
		if c == 0 || strings.IndexByte(`"\/bfnrt`, c) < 0 {
			return s.invalid("an unknown escape stands in a string")
		}
		s.i++
		return nil
	}
	r, ok := s.hex()
	if !ok {
		return s.invalid("four hex digits should follow \\u")
	}
	switch {
	case r >= 0xDC00 && r <= 0xDFFF:
		return s.invalid("a low surrogate stands without its high one")
	case r >= 0xD800 && r <= 0xDBFF:
		if s.peek() == '\\' {
			s.i++
			if low, ok := s.hex(); ok && low >= 0xDC00 && low <= 0xDFFF {
				return nil
			}
		}
		return s.invalid("a high surrogate stands without its low one")
	}
	return nil
}

// hex reads uXXXX.
func (s *scanner) hex() (uint64, bool) {
	if s.peek() != 'u' || s.i+5 > len(s.b) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s.b[s.i+1:s.i+5]), 16, 16)
	if err != nil {
		return 0, false
	}
	s.i += 5
	return v, true
}
