package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
	"github.com/millrace/millrace/services/gateway/upload"
)

// metadata writes tus's Upload-Metadata.
func metadata(pairs ...string) string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(out, ",")
}

// begin begins an upload and returns its path.
func (r *rig) begin(size int, meta string, head ...string) string {
	r.t.Helper()
	resp, b := r.ask("POST", "/v1/uploads/", http.NoBody, append([]string{"Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(size), "Upload-Metadata", meta}, head...)...)
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Upload-Expires") == "" {
		r.t.Fatalf("%d %s %v", resp.StatusCode, b, resp.Header)
	}
	return resp.Header.Get("Location")
}

// offset asks how far an upload is.
func (r *rig) offset(path string) (offset int, job string) {
	r.t.Helper()
	resp, _ := r.ask("HEAD", path, http.NoBody, "Tus-Resumable", "1.0.0")
	n, err := strconv.Atoi(resp.Header.Get("Upload-Offset"))
	if resp.StatusCode != 200 || err != nil {
		r.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return n, resp.Header.Get("Millrace-Job")
}

// patch sends bytes from an offset on.
func (r *rig) patch(path string, offset int, body io.Reader) *http.Response {
	r.t.Helper()
	resp, b := r.ask("PATCH", path, body, "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset))
	if resp.StatusCode >= 500 {
		r.t.Logf("%d %s", resp.StatusCode, b)
	}
	return resp
}

// breaks is a body that breaks off after n bytes.
type breaks struct {
	io.Reader
}

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the network is gone")
	}
	return n, err
}

// patchBroken sends n bytes and then breaks the connection.
func (r *rig) patchBroken(path string, offset int, data []byte, total int) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "PATCH", r.url+path, breaks{bytes.NewReader(data)})
	if err != nil {
		r.t.Fatal(err)
	}
	req.ContentLength = int64(total)
	for k, v := range map[string]string{"Authorization": "Bearer " + r.token, "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.Itoa(offset)} {
		req.Header.Set(k, v)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	if resp, err := transport.RoundTrip(req); err == nil {
		resp.Body.Close()
		r.t.Fatal("the connection did not break")
	}
}

// checkStored holds an upload's job and object against what was sent.
func (r *rig) checkStored(p Placed, want []byte, meta string) {
	r.t.Helper()
	j, _ := r.jobAt(p)
	m := j.Media[0]
	if m.SHA256 != hexSum(want) || m.Type != "video/mp4" || string(j.Meta) != meta || !bytes.Equal(r.stored(m.URI), want) {
		r.t.Errorf("%s: %+v, meta %s", j.ID, m, j.Meta)
	}
}

// find gives the place of a handle.
func (r *rig) find(handle string) Placed {
	r.t.Helper()
	at, ok := r.handles.open("acme", handle)
	if !ok {
		r.t.Fatalf("%q is no handle", handle)
	}
	rec := r.record(Placed{Partition: at.Partition, Offset: at.Offset})
	return Placed{Job: handle, ID: string(rec.Key), Dataset: "cats", Partition: at.Partition, Offset: at.Offset}
}

func TestUpload(t *testing.T) {
	r := newRig(t)
	data := noise(40<<20 + 17) // two parts and a half
	resp, _ := r.ask("OPTIONS", "/v1/uploads/", http.NoBody)
	if e := resp.Header.Get("Tus-Extension"); e != "creation,creation-with-upload,termination,expiration" {
		t.Errorf("extensions %q", e)
	}
	path := r.begin(len(data), metadata("dataset", "cats", "filename", "A.MP4", "sha256", hexSum(data)))
	// A chunk that does not fill a part is kept whole, and so is one that goes over a
	// part's edge.
	for from, to := 0, 5_000_001; from < 15_000_000; from, to = to, to+5_000_001 {
		if resp := r.patch(path, from, bytes.NewReader(data[from:to])); resp.StatusCode != 204 {
			t.Fatal(resp.StatusCode)
		}
	}
	// A connection that breaks keeps what has come until somebody asks.
	for _, to := range []int{17 << 20, 36 << 20, 40 << 20} {
		from, job := r.offset(path)
		if job != "" {
			t.Fatal("a job before the end")
		}
		r.patchBroken(path, from, data[from:to], len(data)-from)
		if at, _ := r.offset(path); at < from || at > to {
			t.Fatalf("from %d, with a break at %d, the offset is %d", from, to, at)
		}
	}
	r.refused(409, "upload.refused", "PATCH", path, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "3")
	from, _ := r.offset(path)
	resp = r.patch(path, from, bytes.NewReader(data[from:]))
	handle := resp.Header.Get("Millrace-Job")
	if resp.StatusCode != 204 || handle == "" || resp.Header.Get("Upload-Offset") != strconv.Itoa(len(data)) {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	r.checkStored(r.find(handle), data, `{"filename":"A.MP4"}`)
	if at, again := r.offset(path); at != len(data) || again != handle {
		t.Errorf("afterwards it is at %d, job %s", at, again)
	}
	if n := r.size(); n != 1 {
		t.Errorf("%d records for one upload", n)
	}
	r.refused(409, "upload.refused", "DELETE", path, http.NoBody, "Tus-Resumable", "1.0.0")
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:], "", ".done")
}

// leftovers are the objects of an upload, by their names' ends.
func (r *rig) leftovers(id string, want ...string) {
	r.t.Helper()
	var got []string
	for info, err := range r.store.List(r.t.Context(), upload.Prefix+"acme/"+id, "") {
		if err != nil {
			r.t.Fatal(err)
		}
		got = append(got, strings.TrimPrefix(info.Key, upload.Prefix+"acme/"+id))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		r.t.Errorf("left are %q, want %q", got, want)
	}
}

func TestUploadOnS3(t *testing.T) {
	s3 := s3test.Start(t)
	opened := store.NewRetry(s3.Open(t), store.Policy{})
	r := newRig(t, func(p *Parts) { p.Store = opened })
	data := noise(200 << 20)
	path := r.begin(len(data), metadata("dataset", "cats", "filetype", "video/mp4", "meta", `{"n": 1}`, "id", "s3-1"))
	for _, to := range []int{3 << 20, 100<<20 + 1, 199 << 20} { // a first break below S3's least part
		from, _ := r.offset(path)
		r.patchBroken(path, from, data[from:max(to, from)], len(data)-from)
	}
	from, _ := r.offset(path)
	if from > 199<<20 {
		t.Errorf("the offset is %d", from)
	}
	resp := r.patch(path, from, bytes.NewReader(data[from:]))
	p := r.find(resp.Header.Get("Millrace-Job"))
	r.checkStored(p, data, `{"n":1}`)
	if p.ID != "s3-1" {
		t.Errorf("the job is %s", p.ID)
	}
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:], "", ".done")
}

func TestUploadRefuses(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Tenants[0].MaxBytes = 1000 })
	for _, c := range []struct {
		status     int
		code, meta string
		length     string
	}{
		{403, "auth.dataset", metadata("dataset", "birds"), "10"},
		{400, "request.invalid", metadata("dataset", "cats", "colour", "red"), "10"},
		{400, "request.invalid", metadata("dataset", "cats", "meta", "{"), "10"},
		{400, "msg.invalid", metadata("dataset", "cats", "meta", "1"), "10"},
		{400, "msg.invalid", metadata(), "10"},
		{413, "request.too-large", metadata("dataset", "cats"), "1001"},
		{400, "upload.refused", metadata("dataset", "cats"), "0"},
		{400, "upload.refused", metadata("dataset", "cats"), "-1"},
	} {
		r.refused(c.status, c.code, "POST", "/v1/uploads/", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", c.length, "Upload-Metadata", c.meta)
	}
	r.refused(412, "upload.refused", "POST", "/v1/uploads/", http.NoBody, "Upload-Length", "1")
	r.refused(400, "request.invalid", "POST", "/v1/uploads/", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "X-HTTP-Method-Override", "PATCH")
	path := r.begin(10, metadata("dataset", "cats", "sha256", hexSum([]byte("other"))))
	for _, p := range []string{"/v1/uploads/x", "/v1/uploads/" + strings.Repeat("0", 26), "/v1/uploads/..%2F..%2Fx"} {
		r.refused(404, "request.not-found", "PATCH", p, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
	}
	// Another tenant's upload is none.
	r.refused(404, "request.not-found", "DELETE", path, http.NoBody, "Tus-Resumable", "1.0.0", "Authorization", "Bearer "+r.other)
	// Bytes that are not those that were announced make no job, and do not stay.
	r.refused(422, "upload.digest", "PATCH", path, strings.NewReader("0123456789"), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:])
	// What is given up does not stay either.
	path = r.begin(10, metadata("dataset", "cats"))
	if resp := r.patch(path, 0, strings.NewReader("01234")); resp.StatusCode != 204 {
		t.Error(resp.StatusCode)
	}
	if resp, b := r.ask("DELETE", path, http.NoBody, "Tus-Resumable", "1.0.0"); resp.StatusCode != 204 {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:])
	if n := r.size(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// The topic is away when the last byte comes: the upload is complete, and becomes a job
// at the next question; or, if nobody asks, at a sweep.
func TestUploadSettles(t *testing.T) {
	r := newRig(t)
	for _, by := range []string{"question", "sweep"} {
		path := r.begin(10, metadata("dataset", "cats", "filetype", "video/mp4"))
		id := path[strings.LastIndexByte(path, '/')+1:]
		before := r.size()
		good := r.topic.limits.Publish
		r.topic.limits.Publish = time.Nanosecond
		resp, p := r.refused(503, "transient.queue", "PATCH", path, strings.NewReader("0123456789"), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
		if resp.Header.Get("Retry-After") == "" || p.Detail == "" {
			t.Errorf("%v %+v", resp.Header, p)
		}
		r.topic.limits.Publish = good
		if by == "sweep" {
			r.sweepOnce(t.Context(), time.Now().Add(time.Minute))
		}
		at, job := r.offset(path)
		if at != 10 || job == "" || r.size() != before+1 {
			t.Errorf("by %s: at %d, job %q, %d records more", by, at, job, r.size()-before)
		}
		r.checkStored(r.find(job), []byte("0123456789"), "")
		if by == "sweep" {
			r.sweepOnce(context.Background(), time.Now().Add(time.Minute)) // the state is of no more use
			r.leftovers(id, "")
		}
	}
	// What nobody goes on with expires.
	path := r.begin(10, metadata("dataset", "cats"))
	_ = r.patch(path, 0, strings.NewReader("01234"))
	r.sweepOnce(t.Context(), time.Now().Add(-time.Minute))
	if at, _ := r.offset(path); at != 5 {
		t.Errorf("a young upload is at %d", at)
	}
	r.sweepOnce(t.Context(), time.Now().Add(time.Minute))
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:])
}

// An upload that can not be a job any more does not stay for ever.
func TestUploadOfNobody(t *testing.T) {
	r := newRig(t)
	data := []byte("0123456789")
	pathOf := func() (string, string) {
		path := r.begin(len(data), metadata("dataset", "cats"))
		good := r.topic.limits.Publish
		r.topic.limits.Publish = time.Nanosecond
		r.refused(503, "transient.queue", "PATCH", path, bytes.NewReader(data), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
		r.topic.limits.Publish = good
		return path, path[strings.LastIndexByte(path, '/')+1:]
	}
	_, id := pathOf()
	r.tenants["acme"].Datasets = []string{"dogs"}
	r.sweepOnce(t.Context(), time.Now().Add(time.Minute))
	r.leftovers(id, "") // the medium, which a job may name
	r.tenants["acme"].Datasets = []string{"cats"}
	_, id = pathOf()
	acme := r.tenants["acme"]
	delete(r.tenants, "acme")
	r.sweepOnce(t.Context(), time.Now().Add(time.Minute))
	r.tenants["acme"] = acme
	r.leftovers(id, "")
	if n := r.size(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// What is left of uploads on S3 ends: parts cost space, and no listing of objects shows
// them.
func TestSweepOnS3(t *testing.T) {
	opened := store.NewRetry(s3test.Start(t).Open(t), store.Policy{})
	r := newRig(t, func(p *Parts) { p.Store = opened })
	data := noise(17 << 20)
	path := r.begin(len(data), metadata("dataset", "cats"))
	if resp := r.patch(path, 0, bytes.NewReader(data[:16<<20])); resp.StatusCode != 204 {
		t.Fatal(resp.StatusCode)
	}
	parted, _ := store.AsParted(opened)
	for _, key := range []string{"_upload/other/" + strings.Repeat("0", 26), "_upload/gone/" + strings.Repeat("a", 64), "data/of/others"} {
		if _, err := parted.BeginParts(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		u, _ := store.AsUnfinished(opened)
		for _, err := range u.Unfinished(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	r.sweepOnce(t.Context(), time.Now().Add(-time.Hour))
	if n := count(); n != 4 {
		t.Errorf("of 4 young attempts there are %d", n)
	}
	r.sweepOnce(t.Context(), time.Now().Add(time.Minute))
	if n := count(); n != 1 { // that of others
		t.Errorf("there are %d attempts", n)
	}
	r.leftovers(path[strings.LastIndexByte(path, '/')+1:])
	r.refused(404, "request.not-found", "PATCH", path, bytes.NewReader(data[16<<20:]), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", fmt.Sprint(16<<20))
}
