package backfill

import (
	"context"
	"io"
)

// finder gives the entries of a folder or prefix in order.
type finder interface {
	find(ctx context.Context) (entry, error)
	share() float64
	close() error
}

// nested reads what a folder or prefix holds: media one by one, archives and lists
// through to their end.
type nested struct {
	v    *env
	find finder
	sub  reader
}

func (n *nested) next(ctx context.Context) (*item, error) {
	for {
		if n.sub != nil {
			it, err := n.sub.next(ctx)
			if err != io.EOF {
				return it, err
			}
			if err := n.sub.close(); err != nil {
				return nil, err
			}
			n.sub = nil
		}
		e, err := n.find.find(ctx)
		if err != nil {
			return nil, err
		}
		if n.sub, err = e.openAnyway(ctx, n.v); err != nil {
			return nil, err
		}
	}
}

func (n *nested) progress() progress { return progress{share: n.find.share(), left: -1} }

func (n *nested) close() error {
	if n.sub != nil {
		if err := n.sub.close(); err != nil {
			n.find.close()
			return err
		}
	}
	return n.find.close()
}
