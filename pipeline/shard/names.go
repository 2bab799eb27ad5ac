package shard

import (
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// MostName is how long "KEY.FIELD" may be, in bytes. It is what a plain tar header
// holds: beyond it come a prefix or PAX records, which indexed readers (wids 0.1.11)
// do not read, so that they would see other keys than streaming ones.
const MostName = 100

// Refused is a sample that can not be in the shard. Nothing was written: the shard is
// as it was, and takes other samples.
type Refused struct {
	Key string // the sample's
	Why string
}

// Error says which sample, and why.
func (e *Refused) Error() string { return fmt.Sprintf("sample %q: %s", e.Key, e.Why) }

func refuse(key, why string, args ...any) error {
	return &Refused{Key: key, Why: fmt.Sprintf(why, args...)}
}

// CheckKey refuses a key that not every format and loader takes as it is: a key is
// letters, digits, "-" and "_", and begins with a letter or digit. (A dot would end it
// early in WebDataset, a slash make folders, a leading "_" hide it.)
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("the key is empty")
	}
	for i := range len(key) {
		if c := key[i]; !lowerOrDigit(c) && !upper(c) && (i == 0 || c != '-' && c != '_') {
			return fmt.Errorf("the key has %q at byte %d; a key is letters, digits, - and _, and begins with a letter or digit", c, i)
		}
	}
	return nil
}

// CheckField refuses a field name that not every format and loader takes as it is: a
// name is words with dots between them, each of lower-case letters, digits, "-" and
// "_" and beginning with a letter or digit. (Loaders lower the case, so upper case
// would make two names one.)
func CheckField(name string) error {
	if name == "" {
		return fmt.Errorf("a field has no name")
	}
	start := true
	for i := range len(name) {
		c := name[i]
		switch {
		case lowerOrDigit(c):
			start = false
		case !start && c == '.':
			start = true
		case start || c != '-' && c != '_':
			return fmt.Errorf("field %q has %q at byte %d; a name is words of a-z, 0-9, - and _, with single dots between them", name, c, i)
		}
	}
	if start {
		return fmt.Errorf("field %q ends with a dot", name)
	}
	return nil
}

func lowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
func upper(c byte) bool        { return 'A' <= c && c <= 'Z' }

// checkSample refuses what no format may hold.
func checkSample(s *pipeline.Sample) error {
	if err := CheckKey(s.Key); err != nil {
		return refuse(s.Key, "%v", err)
	}
	if len(s.Fields) == 0 {
		return refuse(s.Key, "it has no fields")
	}
	for i, f := range s.Fields {
		if err := CheckField(f.Name); err != nil {
			return refuse(s.Key, "%v", err)
		}
		if len(f.Data) == 0 {
			return refuse(s.Key, "field %q is empty; leave out what is not there", f.Name)
		}
		for _, g := range s.Fields[:i] {
			if g.Name == f.Name {
				return refuse(s.Key, "field %q comes twice", f.Name)
			}
		}
	}
	return nil
}
