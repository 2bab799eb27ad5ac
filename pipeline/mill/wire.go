// Package mill is the child process that turns a job's bytes into samples, seen
// from both sides: [Serve] is the child's loop, [Pool] starts and supervises the
// children. Untrusted media are only ever decoded in a child, which can be killed;
// a child's death costs one job.
//
// The two speak over a Unix stream socket. Every message is a frame: an 8-byte
// header (kind, three zero bytes, payload length as little-endian uint32), then the
// payload. A job's media travel as file descriptors beside its header. The parent
// trusts nothing that a child says: sizes are checked before anything is allocated.
package mill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// kind is the first byte of a frame.
type kind byte

const (
	kindJob     kind = 'J' // parent to child: an [Assignment] in JSON, media as descriptors
	kindTerms   kind = 'T' // parent to child, once and first: how to confine itself, in JSON
	kindHello   kind = 'H' // child to parent, once: ready, with a [Report] in JSON
	kindSample  kind = 'S' // child to parent: one sample
	kindAlive   kind = 'A' // child to parent: progress without a sample, and its [pace]
	kindVerdict kind = 'V' // child to parent: the job is over
	kindRead    kind = 'R' // child to parent: a [read] of a medium of which the parent has the bytes
	kindBytes   kind = 'B' // parent to child: the answer, as long as was asked for
)

const (
	headerSize = 8
	// maxFrame bounds one message: a sample with a 64-megapixel frame kept as PNG fits.
	maxFrame = 256 << 20
	// maxMedia is how many descriptors a job may bring.
	maxMedia = 64
)

var errFrame = errors.New("broken frame")

func putHeader(b []byte, k kind, n int) error {
	if n > maxFrame {
		return fmt.Errorf("a message of %d bytes is over the limit of %d", n, maxFrame)
	}
	b[0], b[1], b[2], b[3] = byte(k), 0, 0, 0
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	return nil
}

func parseHeader(b []byte) (kind, int, error) {
	n := binary.LittleEndian.Uint32(b[4:])
	switch k := kind(b[0]); k {
	case kindJob, kindTerms, kindHello, kindSample, kindAlive, kindVerdict, kindRead, kindBytes:
		if b[1]|b[2]|b[3] == 0 && n <= maxFrame {
			return k, int(n), nil
		}
	}
	return 0, 0, fmt.Errorf("%w: header % x", errFrame, b[:headerSize])
}

// writeFrame sends one message. parts are its payload, in order.
func writeFrame(w io.Writer, k kind, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h := make([]byte, headerSize)
	if err := putHeader(h, k, n); err != nil {
		return err
	}
	b := net.Buffers(append([][]byte{h}, parts...))
	_, err := b.WriteTo(w)
	return err
}

// readFrame reads one message; the payload goes into *buf, which grows as needed and
// holds it until the next call.
func readFrame(r io.Reader, buf *[]byte) (kind, []byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	k, n, err := parseHeader(h[:])
	if err != nil {
		return 0, nil, err
	}
	p, err := readPayload(r, n, buf)
	return k, p, err
}

// readPayload grows the buffer only as bytes really arrive, so that a lying length
// costs nothing.
func readPayload(r io.Reader, n int, buf *[]byte) ([]byte, error) {
	const step = 1 << 20
	b := (*buf)[:0]
	for len(b) < n {
		want := min(n-len(b), max(step, cap(b)-len(b)))
		if cap(b)-len(b) < want {
			b = append(make([]byte, 0, max(2*cap(b), len(b)+want)), b...)
		}
		m, err := io.ReadFull(r, b[len(b):len(b)+want])
		b = b[:len(b)+m]
		*buf = b
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return b[:n], nil
}

// sendJob writes a job and its media's descriptors. The descriptors ride on the
// header. They are opened anew for it: the child can read, and that is all, and where
// it reads is nobody else's business. The files stay open on this side.
func sendJob(c *net.UnixConn, payload []byte, files []*os.File) error {
	if len(files) > maxMedia {
		return fmt.Errorf("a job with %d media is over the limit of %d", len(files), maxMedia)
	}
	h := make([]byte, headerSize)
	if err := putHeader(h, kindJob, len(payload)); err != nil {
		return err
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			r, err := readOnly(f)
			if err != nil {
				return err
			}
			defer r.Close()
			fds[i] = int(r.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix(h, oob, nil); err != nil {
		return err
	}
	_, err := c.Write(payload)
	return err
}

func readOnly(f *os.File) (*os.File, error) {
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("opening a medium for a mill: %w", err)
	}
	return r, nil
}

// receive reads a job that sendJob wrote, or an answer. The caller closes the files.
func receive(c *net.UnixConn, buf *[]byte) (kind, []byte, []*os.File, error) {
	h := make([]byte, headerSize)
	oob := make([]byte, unix.CmsgSpace(4*maxMedia))
	n, oobn, _, _, err := c.ReadMsgUnix(h, oob)
	if err != nil {
		return 0, nil, nil, err
	}
	files, err := descriptors(oob[:oobn])
	if err != nil {
		return 0, nil, files, err
	}
	if n == 0 {
		return 0, nil, files, io.EOF
	}
	if _, err := io.ReadFull(c, h[n:]); err != nil {
		return 0, nil, files, err
	}
	k, size, err := parseHeader(h)
	if err != nil || k != kindJob && k != kindBytes {
		return 0, nil, files, fmt.Errorf("%w: neither a job nor an answer", errFrame)
	}
	p, err := readPayload(c, size, buf)
	return k, p, files, err
}

func descriptors(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("reading a job's descriptors: %w", err)
	}
	var files []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return files, fmt.Errorf("reading a job's descriptors: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "medium"))
		}
	}
	return files, nil
}
