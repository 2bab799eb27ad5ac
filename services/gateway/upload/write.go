package upload

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

// WriteChunk implements handler.Upload. It returns how many bytes are in the store for
// good, with the state that says so; a killed process loses what came after the last
// whole part, and no more.
func (u *Upload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	if offset != u.Offset() || u.Complete {
		return 0, handler.ErrMismatchOffset
	}
	buf := u.s.buffer()
	defer u.s.giveBack(buf)
	if err := u.loadTail(ctx, buf); err != nil {
		return 0, err
	}
	for {
		had := u.Parts.Tail.Size
		want := min(int64(len(buf)), u.Size-u.whole())
		n, rerr := io.ReadFull(src, buf[had:want])
		fill := had + int64(n)
		err := error(nil)
		switch {
		case n == 0:
		case fill == want:
			err = u.addPart(ctx, buf[:fill])
		default:
			err = u.keepTail(ctx, buf[:fill])
		}
		if err != nil {
			return u.Offset() - offset, err
		}
		if rerr != nil || u.Offset() == u.Size {
			if errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF) {
				rerr = nil // the handler knows whether the body ended too soon
			}
			return u.Offset() - offset, rerr
		}
	}
}

// loadTail puts what came behind the last whole part to the front of buf. If that is
// lost, the upload goes back to its last whole part, and its sender is told to ask where
// it stands: a state that lands late, or is written by a process that was overtaken, may
// name a tail that has been replaced.
func (u *Upload) loadTail(ctx context.Context, buf []byte) error {
	t := u.Parts.Tail
	if t.Size == 0 {
		return nil
	}
	rc, _, err := u.s.parts.Get(ctx, u.tailKey(t.Name), 0, t.Size)
	if err == nil {
		_, err = io.ReadFull(rc, buf[:t.Size])
		err = errors.Join(err, rc.Close())
	}
	lost := store.IsNotFound(err) || errors.Is(err, store.ErrRange)
	if err != nil && !lost {
		return fmt.Errorf("read an upload's last bytes: %w", err)
	}
	if sum := store.BytesBody(buf[:t.Size]).SHA256; !lost && bytes.Equal(sum[:], t.SHA256) {
		return nil
	}
	u.Parts.Tail = Tail{}
	if err := u.save(ctx); err != nil {
		return err
	}
	return handler.ErrMismatchOffset
}

// addPart stores a whole part.
func (u *Upload) addPart(ctx context.Context, data []byte) error {
	before := u.Parts
	part := store.Part{Number: u.Parts.Count + 1, Offset: u.whole(), Data: data}
	if err := u.s.parts.PutPart(ctx, u.Key(), u.Parts.Upload, part); err != nil {
		return u.failed(ctx, fmt.Errorf("store part %d of an upload: %w", part.Number, err))
	}
	_, _ = u.sum.Write(data)
	u.Parts.Count, u.Parts.Tail = part.Number, Tail{}
	return u.advance(ctx, before)
}

// keepTail keeps what fills no part.
func (u *Upload) keepTail(ctx context.Context, data []byte) error {
	before, body, name := u.Parts, store.BytesBody(data), rand.Text()
	if err := u.s.parts.Put(ctx, u.tailKey(name), body); err != nil {
		return fmt.Errorf("keep an upload's last bytes: %w", err)
	}
	u.Parts.Tail = Tail{Name: name, Size: body.Size, SHA256: body.SHA256[:]}
	return u.advance(ctx, before)
}

// advance writes down what has come since before, and drops the tail of then.
func (u *Upload) advance(ctx context.Context, before Parts) error {
	if err := u.save(ctx); err != nil {
		u.Parts = before
		return err
	}
	if before.Tail.Name != "" {
		_ = u.s.parts.Delete(ctx, u.tailKey(before.Tail.Name)) // else the end of the upload does
	}
	return nil
}

// failed finds out why the store has no such attempt: the upload was completed or given
// up by another process, and what is kept of it here was written too late.
func (u *Upload) failed(ctx context.Context, err error) error {
	if !store.IsNotFound(err) {
		return err
	}
	_, rerr := u.s.read(ctx, u.Tenant, u.ID, doneEnd)
	switch {
	case rerr == nil:
		return errors.Join(handler.ErrMismatchOffset, u.clear(ctx))
	case store.IsNotFound(rerr) && time.Since(u.written) > 10*u.s.appears: // nobody is about to complete it
		return errors.Join(handler.ErrNotFound, u.clear(ctx))
	}
	return errors.Join(err, rerr)
}

// FinishWithin bounds the time in which a store puts the parts together.
const FinishWithin = 15 * time.Minute

// FinishUpload implements handler.Upload: the parts become the object. It may be called
// again, by any process.
func (u *Upload) FinishUpload(ctx context.Context) error {
	if u.Complete {
		return nil
	}
	if u.Offset() != u.Size {
		return fmt.Errorf("upload %s has %d of %d bytes", u.ID, u.Offset(), u.Size)
	}
	// A store may copy all bytes to put the parts together. Who waits for it may have
	// gone; that it is half done would help nobody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FinishWithin)
	defer cancel()
	if done, err := u.s.read(ctx, u.Tenant, u.ID, doneEnd); err == nil {
		u.State, u.sum = done.State, done.sum // another process was first
		return u.clear(ctx)
	} else if !store.IsNotFound(err) {
		return err
	}
	if err := u.announced(); err != nil {
		return errors.Join(err, u.Remove(ctx))
	}
	err := u.s.parts.CompleteParts(ctx, u.Key(), u.Parts.Upload, u.Parts.Count, u.sum.Body())
	switch {
	case store.IsNotFound(err) && u.appears(ctx):
		err = nil
	case errors.Is(err, store.ErrCorrupt):
		// Two processes were sent different bytes for one part.
		return errors.Join(ErrDamaged, err, u.Remove(ctx))
	}
	if err != nil {
		return u.failed(ctx, fmt.Errorf("complete an upload: %w", err))
	}
	u.Complete = true
	if err := u.save(ctx); err != nil {
		u.Complete = false
		return err
	}
	return u.clear(ctx)
}

// MetaSHA256 is the name, in an upload's metadata, of the digest that it must have, in
// hex.
const MetaSHA256 = "sha256"

// DigestCode is tus's code of a refusal: the bytes are not those that were announced.
const DigestCode = "ERR_UPLOAD_DIGEST"

// announced holds what has come against the digest that its sender announced.
func (u *Upload) announced() error {
	want, sum := u.Meta[MetaSHA256], u.Body().SHA256
	if got := hex.EncodeToString(sum[:]); want != "" && want != got {
		return handler.NewError(DigestCode, fmt.Sprintf("the upload's sha256 is %s; %.64s was announced; it is removed: begin anew", got, want), 422)
	}
	return nil
}

// appearsWithin is how long an object may take that a store is putting together for an
// earlier request, whose answer did not come in time. Such an upload has no parts any
// more, and no object yet: versitygw copies some GB for minutes.
const appearsWithin = 3 * time.Minute

// appears waits for the object.
func (u *Upload) appears(ctx context.Context) bool {
	for end := time.Now().Add(u.s.appears); ; {
		info, err := u.s.parts.Stat(ctx, u.Key())
		if err == nil {
			return info.Size == u.Size
		}
		if !store.IsNotFound(err) || time.Now().After(end) {
			return false
		}
		select {
		case <-time.After(min(time.Second, u.s.appears/4)):
		case <-ctx.Done():
			return false
		}
	}
}

// Terminate implements handler.TerminatableUpload. A complete upload is a job, or on its
// way to be one, and is not taken back.
func (u *Upload) Terminate(ctx context.Context) error {
	if u.Offset() == u.Size {
		return handler.NewError("ERR_UPLOAD_DONE", "the upload is complete, and a job or about to be one", 409)
	}
	return u.Remove(ctx)
}

// Remove takes an upload away that is not complete. Its object is not touched: if there
// is one, another process has completed the upload, and a job may name it.
func (u *Upload) Remove(ctx context.Context) error {
	if err := u.s.parts.AbortParts(ctx, u.Key(), u.Parts.Upload); err != nil {
		return fmt.Errorf("remove an upload: %w", err) // the state stays, for another try
	}
	return u.clear(ctx)
}

// Forget takes away all that is known of an upload; a complete one's object stays.
func (u *Upload) Forget(ctx context.Context) error {
	if !u.Complete {
		return u.Remove(ctx)
	}
	return u.s.parts.Delete(ctx, u.Key()+doneEnd)
}

// clear takes away where an upload stood, and its tails. How it ended stays.
func (u *Upload) clear(ctx context.Context) error {
	var errs []error
	for info, err := range u.s.parts.List(ctx, u.tailKey(""), "") {
		if err == nil {
			err = u.s.parts.Delete(ctx, info.Key)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove an upload's last bytes: %w", err)
	}
	return u.s.parts.Delete(ctx, u.Key()+stateEnd)
}
