package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/pipeline/message"
)

// partScheme begins the URI by which a job in a form names a medium of the same form:
// part:///NAME.
const partScheme = "part:///"

// maxJobPart bounds the part of a form that is the job.
const maxJobPart = 1 << 20

// sent is what a form holds.
type sent struct {
	job   []byte // the part "job"; nil: there is none
	names []string
	types []string
	media []*medium
}

func (s *sent) close() {
	for _, m := range s.media {
		m.close()
	}
}

// form reads a multipart/form-data body: a part "job" whose media name other parts, or
// media parts alone, which make one job in their order.
func (g *Gateway) form(w http.ResponseWriter, r *http.Request, c caller, ps params, boundary string, print *printer) (_ []*order, err error) {
	s, err := g.readForm(multipart.NewReader(g.paced(w, r), boundary), c, print)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if s.job == nil {
		return g.mediaOnly(c, ps, s)
	}
	orders, err := g.parse(c, message.Record{Value: s.job, Headers: ps.headers("application/json")})
	if err != nil {
		return nil, err
	}
	if len(orders) != 1 {
		return nil, badRequest("the part job asks for %d jobs; a form holds one", len(orders))
	}
	return orders, s.place(orders[0])
}

// readForm reads the parts, each within its limits.
func (g *Gateway) readForm(mr *multipart.Reader, c caller, print *printer) (*sent, error) {
	s := &sent{}
	left, small := min(c.MaxBytes, g.cfg.Limits.MaxBytes), g.inline()
	for {
		part, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, formError(err)
		}
		name := part.FormName()
		if len(s.names) == message.MaxMedia {
			return s, badRequest("the form has more than %d media", message.MaxMedia)
		}
		if name == "job" {
			if s.job != nil {
				return s, badRequest("the form has two parts named job")
			}
			if s.job, err = readAll(part, -1, maxJobPart); err != nil {
				return s, formError(err)
			}
			sum := sha256.Sum256(s.job)
			print.add("job", string(sum[:]))
			continue
		}
		m, err := receive(part, g.parts.Dir, -1, small, left)
		if err != nil {
			return s, formError(err)
		}
		left -= m.Size
		if m.data != nil {
			small = max(small-m.Size, 0) // all small ones together stay within a record
		}
		s.names, s.types, s.media = append(s.names, name), append(s.types, partType(part)), append(s.media, m)
		print.add(name, s.types[len(s.types)-1], string(m.SHA256[:]))
	}
}

// formError says that a form is malformed, unless something else is the matter.
func formError(err error) error {
	var p *problem
	if errors.As(err, &p) || problemOf(err).code != codeInternal {
		return err
	}
	return badRequest("the form can not be read: its parts or their headers are malformed")
}

// partType is a part's media type: as said, or by its file's name. It is a hint; the
// bytes decide.
func partType(p *multipart.Part) string {
	mt, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if err == nil && isMedia(mt) {
		return mt
	}
	return mediaTypeOf(p.FileName())
}

func mediaTypeOf(filename string) string {
	mt, _, err := mime.ParseMediaType(mime.TypeByExtension(strings.ToLower(filepath.Ext(filename))))
	if err == nil && isMedia(mt) {
		return mt
	}
	return ""
}

// mediaOnly makes one job of a form's media.
func (g *Gateway) mediaOnly(c caller, ps params, s *sent) ([]*order, error) {
	if len(s.media) == 0 {
		return nil, badRequest("the form has no media and no part named job")
	}
	if ps["sha256"] != "" || ps["role"] != "" {
		return nil, badRequest("sha256 and role are of a single medium; in a form, say them in the part job")
	}
	job := map[string]any{}
	for _, name := range []string{"meta", "provenance"} {
		if ps[name] != "" {
			if !json.Valid([]byte(ps[name])) {
				return nil, badRequest("%s is not JSON", name)
			}
			job[name] = json.RawMessage(ps[name])
		}
	}
	var media []map[string]string
	for i := range s.media {
		s.names[i] = fmt.Sprint(i) // the names that senders give may repeat
		media = append(media, map[string]string{"uri": partScheme + s.names[i], "type": s.types[i]})
	}
	job["media"] = media
	raw, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	plain := params{"dataset": ps["dataset"], "id": ps["id"]}
	orders, err := g.parse(c, message.Record{Value: raw, Headers: plain.headers("application/json")})
	if err != nil {
		return nil, err
	}
	return orders, s.place(orders[0])
}

// place gives a job the media that it names. Each medium of the form is named once.
func (s *sent) place(o *order) error {
	taken := make([]bool, len(s.media))
	for i := range o.job.Media {
		name, ok := strings.CutPrefix(o.job.Media[i].URI, partScheme)
		if !ok {
			continue
		}
		at, err := s.find(name)
		if err != nil {
			return err
		}
		if taken[at] {
			return badRequest("the job names the part %.80q twice", name)
		}
		taken[at] = true
		o.take(i, s.media[at], s.types[at])
	}
	for i, t := range taken {
		if !t {
			return badRequest("the job does not name the part %.80q; write \"uri\": \"%sNAME\" in one of its media", s.names[i], partScheme)
		}
	}
	if !o.named {
		o.job.ID = ""
	}
	return nil
}

func (s *sent) find(name string) (int, error) {
	found := -1
	for i, n := range s.names {
		if n == name {
			if found >= 0 {
				return 0, badRequest("two parts are named %.80q", name)
			}
			found = i
		}
	}
	if found < 0 {
		return 0, badRequest("the job names a part %.80q, which the form does not have", name)
	}
	return found, nil
}

// take puts a medium of a form into the job's place i.
func (o *order) take(i int, m *medium, typ string) {
	jm := &o.job.Media[i]
	jm.URI, jm.Version, jm.Data = "", "", m.data
	if jm.Type == "" {
		jm.Type = typ
	}
	if m.data == nil {
		o.setLarge(i, m)
	}
}
