package gateway

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// quota is how many bytes a tenant may send: so many a day, which come back evenly over
// the day. It is this process's own, and full again after a restart.
type quota struct {
	most int64
	now  func() time.Time

	mu   sync.Mutex
	left float64
	at   time.Time // of left
}

const day = 24 * time.Hour

func newQuota(most int64, now func() time.Time) *quota {
	if now == nil {
		now = time.Now
	}
	return &quota{most: most, now: now, left: float64(most), at: now()}
}

// available is how many bytes there are now.
func (q *quota) available() float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refill()
	return q.left
}

func (q *quota) refill() {
	now := q.now()
	q.left = min(float64(q.most), q.left+float64(q.most)*now.Sub(q.at).Seconds()/day.Seconds())
	q.at = now
}

// take takes n bytes that have come. Bodies that come at once may together go below nothing.
func (q *quota) take(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refill()
	q.left -= float64(n)
}

// fits refuses n bytes that can not all be sent now.
func (q *quota) fits(n int64) error {
	left := q.available()
	switch {
	case n > q.most:
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: fmt.Sprintf("the body has more bytes than the tenant may send in a day, which are %d", q.most)}
	case float64(n) > left:
		return q.over(float64(n) - left)
	}
	return nil
}

// over says when so many bytes more can be sent.
func (q *quota) over(missing float64) error {
	wait := time.Duration(missing / float64(q.most) * float64(day))
	return &problem{status: http.StatusTooManyRequests, code: codeQuota, wait: max(wait, time.Second), detail: fmt.Sprintf("the tenant has sent the %d bytes that it may send in a day; they come back evenly over the day", q.most)}
}

// spentShare is what must have come back before somebody is told to go on, of a day's
// bytes: else they would be sent in dribs and drabs.
const spentShare = 0.01

// metered is a body whose bytes are the tenant's.
type metered struct {
	io.ReadCloser
	quota *quota
}

func (b *metered) Read(p []byte) (int, error) {
	left := b.quota.available()
	if left < 1 {
		return 0, b.quota.over(spentShare * float64(b.quota.most))
	}
	if float64(len(p)) > left {
		p = p[:int(left)]
	}
	n, err := b.ReadCloser.Read(p)
	b.quota.take(int64(n))
	return n, err
}
