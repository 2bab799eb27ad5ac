package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a key. S3 allows 1024 bytes in all; a directory 255 in each part.
const (
	MaxKey     = 1024
	MaxKeyPart = 255
)

// CheckKey refuses a key that not every store could take or that could mean
// something else in one of them. A key is one or more parts joined by '/'. A part
// is valid UTF-8 without control characters and backslashes, has 1 to 255 bytes,
// and does not begin with a dot: so "." and ".." are no parts, and a directory
// store can hide its temporary files. Two names that loaders insist on are exempt
// (see dotted).
func CheckKey(key string) error {
	if key == "" {
		return errors.New("the key is empty")
	}
	if len(key) > MaxKey {
		return fmt.Errorf("the key has %d bytes; %d are allowed", len(key), MaxKey)
	}
	if err := checkText(key); err != nil {
		return err
	}
	for part := range strings.SplitSeq(key, "/") {
		if err := checkPart(part); err != nil {
			return fmt.Errorf("the key %q: %w", key, err)
		}
	}
	return nil
}

func checkPart(part string) error {
	switch {
	case part == "":
		return errors.New("a part of it is empty (a leading, trailing or double slash)")
	case part[0] == '.' && !dotted(part):
		return fmt.Errorf("its part %q begins with a dot", part)
	case len(part) > MaxKeyPart:
		return fmt.Errorf("a part of it has %d bytes; %d are allowed", len(part), MaxKeyPart)
	}
	return nil
}

// dotted are the names in which Megatron Energon looks for its metadata. None is that of
// a temporary file.
func dotted(part string) bool { return part == ".nv-meta" || part == ".info.json" }

// checkPrefix refuses a listing prefix that no key could begin with. The empty
// prefix, and one that ends in the middle of a part or with a slash, are fine.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if len(prefix) > MaxKey {
		return fmt.Errorf("the prefix has %d bytes; %d are allowed", len(prefix), MaxKey)
	}
	if err := checkText(prefix); err != nil {
		return err
	}
	whole := strings.TrimSuffix(prefix, "/")
	for part := range strings.SplitSeq(whole, "/") {
		if err := checkPart(part); err != nil {
			return fmt.Errorf("the prefix %q: %w", prefix, err)
		}
	}
	return nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%q is not valid UTF-8", s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }); i >= 0 {
		return fmt.Errorf("%q has a control character or a backslash at byte %d", s, i)
	}
	return nil
}
