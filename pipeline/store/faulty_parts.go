package store

import "context"

// faultyParts is a Faulty over a store that takes parts. Its rule is asked as "begin",
// "part", "complete" and "abort".
type faultyParts struct {
	*Faulty
	parts Parted
}

// BeginParts implements Parted. One that is late names no attempt: what lands is nobody's.
func (f *faultyParts) BeginParts(ctx context.Context, key string) (upload string, err error) {
	err = f.write(ctx, "begin", key, func(ctx context.Context) (err error) {
		upload, err = f.parts.BeginParts(ctx, key)
		return err
	})
	return upload, err
}

// PutPart implements Parted. A late part keeps a copy of its bytes, as a network does.
func (f *faultyParts) PutPart(ctx context.Context, key, upload string, p Part) error {
	p.Data = append([]byte(nil), p.Data...)
	return f.write(ctx, "part", key, func(ctx context.Context) error { return f.parts.PutPart(ctx, key, upload, p) })
}

// CompleteParts implements Parted.
func (f *faultyParts) CompleteParts(ctx context.Context, key, upload string, count int, whole Body) error {
	return f.write(ctx, "complete", key, func(ctx context.Context) error {
		return f.parts.CompleteParts(ctx, key, upload, count, whole)
	})
}

// AbortParts implements Parted.
func (f *faultyParts) AbortParts(ctx context.Context, key, upload string) error {
	return f.write(ctx, "abort", key, func(ctx context.Context) error { return f.parts.AbortParts(ctx, key, upload) })
}
