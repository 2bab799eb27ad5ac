package store

import (
	"context"
	"errors"
	"fmt"
)

// Kinds of error. Test for one with errors.Is. An error of no kind is a fault of
// the moment (network, server, disk) in an operation that may be tried again.
var (
	ErrNotFound = errors.New("there is no such object")
	ErrExists   = errors.New("an object of that key exists")
	ErrConflict = errors.New("another write of that key was under way; nothing was stored")
	ErrUnknown  = errors.New("the outcome is unknown: it may have been stored, or may still be")
	ErrDenied   = errors.New("access is denied")
	ErrRange    = errors.New("the range is not inside the object")
	ErrCorrupt  = errors.New("the bytes are not what was announced")
	ErrInvalid  = errors.New("the request can not be carried out as it is")
)

// Error is a failed operation on one object.
type Error struct {
	Op   string // put, create, get, stat, list, delete
	Key  string // or the prefix that was listed
	Kind error  // one of the kinds above, or nil
	Err  error  // the cause, or nil
}

// Error returns "op "key": kind: cause".
func (e *Error) Error() string {
	switch {
	case e.Kind == nil:
		return fmt.Sprintf("%s %q: %v", e.Op, e.Key, e.Err)
	case e.Err == nil:
		return fmt.Sprintf("%s %q: %v", e.Op, e.Key, e.Kind)
	}
	return fmt.Sprintf("%s %q: %v: %v", e.Op, e.Key, e.Kind, e.Err)
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// NotFound reports that there is no such object.
func (e *Error) NotFound() bool { return e.Kind == ErrNotFound }

// Exists reports that a Create found another object.
func (e *Error) Exists() bool { return e.Kind == ErrExists }

// Conflict reports that a Create stored nothing and may be sent again.
func (e *Error) Conflict() bool { return e.Kind == ErrConflict }

// Permanent reports that the same request would fail again, and that it changed
// nothing.
func (e *Error) Permanent() bool {
	switch e.Kind {
	case ErrNotFound, ErrExists, ErrDenied, ErrRange, ErrInvalid:
		return true
	}
	return false
}

// IsNotFound reports whether err says that there is no such object.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// IsPermanent reports whether trying again is of no use.
func IsPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// fail makes an Error, except that a cancelled operation is no failure: it gives
// what ctx says. (Create has its own rule.)
func fail(ctx context.Context, op, key string, kind, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return &Error{Op: op, Key: key, Kind: kind, Err: err}
}

// begin is the first thing each operation does: nothing starts on a context that
// is done, nor with a key that breaks the rules.
func begin(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckKey(key); err != nil {
		return &Error{Op: op, Key: key, Kind: ErrInvalid, Err: err}
	}
	return nil
}
