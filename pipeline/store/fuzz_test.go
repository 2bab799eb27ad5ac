package store

import (
	"bytes"
	"fmt"
	"testing"
)

// FuzzReadMode: what is read of how creates are decided can be written down and read again.
func FuzzReadMode(f *testing.F) {
	f.Add([]byte(`{"v":1,"mode":"conditional","rounds":3,"racers":8,"time":"2026-11-24T12:00:00Z","writer":"host"}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewMemory()
		if err := s.Put(t.Context(), modeKey, BytesBody(data)); err != nil {
			t.Fatal(err)
		}
		m, found, err := ReadMode(t.Context(), s)
		if err != nil {
			return
		}
		if !found || m.Version != 1 {
			t.Fatalf("%q is %+v, %v", data, m, found)
		}
		if err := WriteMode(t.Context(), s, m); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if again, _, err := ReadMode(t.Context(), s); err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%+v is read back as %+v, %v", m, again, err)
		}
	})
}

// FuzzCheckRange: a server's answer that is taken for the right one has just the bytes that
// were asked for, all within the object.
func FuzzCheckRange(f *testing.F) {
	f.Add("bytes 10-19/100", int64(10), int64(10))
	f.Add("bytes 10-99/100", int64(10), int64(-1))
	f.Add("bytes 0--1/0", int64(0), int64(0))
	f.Add("bytes 0-9223372036854775807/9223372036854775807", int64(0), int64(-1))
	f.Fuzz(func(t *testing.T, header string, offset, length int64) {
		if offset < 0 || length < -1 {
			return
		}
		n, size, err := checkRange(header, offset, length)
		if err != nil {
			return
		}
		if n < 1 || n > size-offset || length >= 0 && n != length || length < 0 && n != size-offset {
			t.Fatalf("%q is %d of %d bytes, where %d from %d on were asked for", header, n, size, length, offset)
		}
	})
}

// FuzzRestoreSum: a sum goes on from any state that it takes, and its state is that state.
func FuzzRestoreSum(f *testing.F) {
	s := NewSum()
	_, _ = s.Write([]byte("the bytes before"))
	sha, crc, err := s.State()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(int64(16), sha, crc)
	f.Add(int64(0), sha[:len(sha)-1], crc)
	f.Add(int64(-1), sha, sha)
	f.Fuzz(func(t *testing.T, n int64, sha, crc []byte) {
		s, err := RestoreSum(n, sha, crc)
		if err != nil {
			return
		}
		sha2, crc2, err := s.State()
		if err != nil {
			t.Fatal(err)
		}
		again, err := RestoreSum(n, sha2, crc2)
		if err != nil {
			t.Fatalf("its own state is refused: %v", err)
		}
		more := bytes.Repeat([]byte{7}, 200)
		_, _ = s.Write(more)
		_, _ = again.Write(more)
		if s.Body() != again.Body() {
			t.Fatalf("it goes on to %x, and from its state to %x", s.Body(), again.Body())
		}
	})
}
