package settings

import (
	"context"
	"os"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/gateway"
	"github.com/millrace/millrace/services/gateway/upload"
)

// fromUploads lets jobs name what a gateway has put into the store: store://_upload/...
// All other media go on to next.
//
// Nothing of the store but uploads can be named, and an upload only together with its
// SHA-256, which is checked: who does not know what the bytes are can not have another
// tenant's turned into samples of his own, whoever may write to the topic.
func fromUploads(s store.Store, dir string, maxBytes int64, next stream.Fetch) stream.Fetch {
	return func(ctx context.Context, m pipeline.Media, have *os.File) (mill.Bytes, pipeline.SourceID, error) {
		key, ok := strings.CutPrefix(m.URI, gateway.StoreURI(""))
		if !ok || have != nil {
			return next(ctx, m, have)
		}
		id := pipeline.SourceID{URI: source.Redact(m.URI)}
		sp, err := fetchUpload(ctx, s, key, m.SHA256, dir, maxBytes)
		if err != nil {
			return nil, id, err
		}
		sp.ID.URI = id.URI
		return sp.File, sp.ID, nil
	}
}

func fetchUpload(ctx context.Context, s store.Store, key, digest, dir string, maxBytes int64) (*source.Spooled, error) {
	refuse := func(code codecs.Code, why string) error { return codecs.Errorf(code, codecs.StageFetch, "%s", why) }
	switch {
	case !strings.HasPrefix(key, upload.Prefix) || store.CheckKey(key) != nil:
		return nil, refuse(pipeline.CodeSourceDenied, "of the store only uploads may be named, as store://"+upload.Prefix+"...")
	case digest == "":
		return nil, refuse(pipeline.CodeSourceDenied, "an upload is named with its sha256, and this medium has none")
	}
	rc, info, err := s.Get(ctx, key, 0, -1)
	if store.IsNotFound(err) {
		return nil, refuse(pipeline.CodeSourceGone, "there is no such upload; it may have been removed by a lifecycle rule of the bucket")
	}
	if err != nil {
		return nil, err // the store's fault, not the medium's
	}
	defer func() { _ = rc.Close() }()
	if info.Size > maxBytes {
		return nil, refuse(pipeline.CodeSourceLimit, "the upload is larger than source.s3.max_bytes allows")
	}
	sp, err := source.Spool(dir, rc, maxBytes)
	if err != nil {
		return nil, err
	}
	if sp.ID.SHA256 != digest {
		_ = sp.Close()
		return nil, refuse(pipeline.CodeSourceChanged, "the upload's sha256 is not the one that the job names")
	}
	return sp, nil
}
