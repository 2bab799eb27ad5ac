package upload

import (
	"context"
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
		had := u.Parts.Tail
		want := min(int64(len(buf)), u.Size-int64(u.Parts.Count)*u.PartSize)
		n, rerr := io.ReadFull(src, buf[had:want])
		_, _ = u.sum.Write(buf[had : had+int64(n)])
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

// loadTail puts what came behind the last whole part to the front of buf.
func (u *Upload) loadTail(ctx context.Context, buf []byte) error {
	if u.Parts.Tail == 0 {
		return nil
	}
	// The object may be longer, if a process was killed before it wrote the state.
	rc, _, err := u.s.parts.Get(ctx, u.Key()+".tail", 0, u.Parts.Tail)
	if err != nil {
		return fmt.Errorf("read an upload's last bytes: %w", err)
	}
	_, err = io.ReadFull(rc, buf[:u.Parts.Tail])
	if err = errors.Join(err, rc.Close()); err != nil {
		return fmt.Errorf("read an upload's last bytes: %w", err)
	}
	return nil
}

func (u *Upload) addPart(ctx context.Context, data []byte) error {
	before := u.Parts
	part := store.Part{Number: u.Parts.Count + 1, Offset: int64(u.Parts.Count) * u.PartSize, Data: data}
	if err := u.s.parts.PutPart(ctx, u.Key(), u.Parts.Upload, part); err != nil {
		return fmt.Errorf("store part %d of an upload: %w", part.Number, err)
	}
	u.Parts.Count, u.Parts.Tail = part.Number, 0
	if err := u.save(ctx); err != nil {
		u.Parts = before
		return err
	}
	return nil
}

func (u *Upload) keepTail(ctx context.Context, data []byte) error {
	before := u.Parts
	if err := u.s.parts.Put(ctx, u.Key()+".tail", store.BytesBody(data)); err != nil {
		return fmt.Errorf("keep an upload's last bytes: %w", err)
	}
	u.Parts.Tail = int64(len(data))
	if err := u.save(ctx); err != nil {
		u.Parts = before
		return err
	}
	return nil
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
	err := u.s.parts.CompleteParts(ctx, u.Key(), u.Parts.Upload, u.Parts.Count, u.sum.Body())
	if store.IsNotFound(err) && u.appears(ctx) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("complete an upload: %w", err)
	}
	u.Complete = true
	if err := u.save(ctx); err != nil {
		return err
	}
	return u.s.parts.Delete(ctx, u.Key()+".tail")
}

// appearsWithin is how long an object may take that a store is putting together for an
// earlier request, whose answer did not come in time. Such an upload has no parts any
// more, and no object yet: versitygw copies some GB for minutes.
const appearsWithin = 3 * time.Minute

// appears waits for the object.
func (u *Upload) appears(ctx context.Context) bool {
	for end := time.Now().Add(appearsWithin); ; {
		info, err := u.s.parts.Stat(ctx, u.Key())
		if err == nil {
			return info.Size == u.Size
		}
		if !store.IsNotFound(err) || time.Now().After(end) {
			return false
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
	}
}

// Terminate implements handler.TerminatableUpload. A complete upload whose job is on
// its way is not taken back.
func (u *Upload) Terminate(ctx context.Context) error {
	if u.Job != "" {
		return handler.NewError("ERR_UPLOAD_DONE", "the upload is complete and a job already", 409)
	}
	return u.Remove(ctx, true)
}

// Remove takes the upload's state away, and, if the object is not wanted, that too.
func (u *Upload) Remove(ctx context.Context, object bool) error {
	var errs []error
	if object {
		errs = append(errs, u.s.parts.AbortParts(ctx, u.Key(), u.Parts.Upload), u.s.parts.Delete(ctx, u.Key()))
	}
	errs = append(errs, u.s.parts.Delete(ctx, u.Key()+".tail"))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove an upload: %w", err) // the state stays, for another try
	}
	return u.s.parts.Delete(ctx, u.Key()+".info")
}
