package message

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

var buckets = []BucketRule{
	{Bucket: "media", Prefix: "cats/", Dataset: "cats"},
	{Bucket: "media", Prefix: "", Dataset: "rest"},
	{Bucket: "media", Prefix: "cats/secret/", Dataset: "secret"},
	{Bucket: "archive", Prefix: "2026/", Dataset: "archive"},
}

// TestNotifications reads what each sender really writes (testdata/messages/README).
func TestNotifications(t *testing.T) {
	const etag = `"9b2cf535f27731c974343645a3985328"`
	for _, c := range []struct {
		file    string
		media   []pipeline.Media
		dataset []string
		codes   []codecs.Code
		ignored []string
	}{
		{file: "aws-put.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat+1%2B.mp4", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko"}}},
		{file: "aws-many.json", dataset: []string{"cats", "rest", ""}, codes: []codecs.Code{"", "", pipeline.CodeMsgBucket},
			media:   []pipeline.Media{{URI: "s3://media/cats/1.mp4", Version: etag}, {URI: "s3://media/dogs/3.mp4", Version: etag}, {URI: "s3://other/x.mp4", Version: etag}},
			ignored: []string{"ObjectRemoved:Delete", "ObjectCreated:Put", "LifecycleExpiration:Delete"}},
		{file: "aws-test.json", ignored: []string{"s3:TestEvent"}},
		{file: "minio-put.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat.jpg", Type: "image/jpeg", Version: `"430f89010c77aa34fc8760696da62d08-1"`}}},
		{file: "minio-tags.json", ignored: []string{"s3:ObjectCreated:PutTagging"}},
		{file: "versitygw-put.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/a b+c%2Bd é.mp4", Version: `"5d41402abc4b2a76b9719d911017c592"`}}},
		{file: "versitygw-folder.json", ignored: []string{"s3:ObjectCreated:Put"}},
		{file: "versitygw-delete.json", ignored: []string{"s3:ObjectRemoved:Delete"}},
		{file: "versitygw-test.json", ignored: []string{"s3:TestEvent"}},
		{file: "eventbridge-created.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat+1.mp4", Version: "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"}}},
		{file: "eventbridge-deleted.json", ignored: []string{"Object Deleted"}},
		{file: "sns.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat+1%2B.mp4", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko"}}},
		{file: "sqs-batch.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat+1%2B.mp4", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko"}}},
		{file: "sqs-message.json", dataset: []string{"cats"}, codes: []codecs.Code{""},
			media: []pipeline.Media{{URI: "s3://media/cats/red cat+1%2B.mp4", Version: "096fKKXTRTtl3on89fVO.nfljtsv6qko"}}},
	} {
		t.Run(c.file, func(t *testing.T) {
			var ignored []string
			o := Options{Dataset: "unused", Buckets: buckets, Ignored: func(e string) { ignored = append(ignored, e) }}
			parts, err := Parse(Record{Key: []byte("same"), Value: read(t, c.file)}, o)
			if err != nil {
				t.Fatal(err)
			}
			var media []pipeline.Media
			var dataset []string
			var codes []codecs.Code
			for _, p := range parts {
				media, dataset = append(media, p.Job.Media...), append(dataset, p.Job.Dataset)
				code := codecs.Code("")
				if p.Fault != nil {
					code = codecs.AsError(p.Fault).Code
				}
				codes = append(codes, code)
				want := p.Job
				want.ID = ""
				want.DeriveID()
				if p.Job.ID != want.ID {
					t.Errorf("id %q of %s, want the derived %q", p.Job.ID, p.Job.Media[0].URI, want.ID)
				}
			}
			if !reflect.DeepEqual(media, c.media) || !reflect.DeepEqual(dataset, c.dataset) || !reflect.DeepEqual(codes, c.codes) || !reflect.DeepEqual(ignored, c.ignored) {
				t.Errorf("media %+v\ndatasets %q, codes %q, ignored %q", media, dataset, codes, ignored)
			}
		})
	}
}

func s3Event(version, name, bucket, key string) string {
	v, _ := json.Marshal(map[string]any{"eventVersion": version, "eventName": name, "s3": map[string]any{
		"bucket": map[string]any{"name": bucket}, "object": map[string]any{"key": key}}})
	return string(v)
}

func TestLongestPrefixChoosesTheDataset(t *testing.T) {
	for key, want := range map[string]string{"cats/1": "cats", "cats/secret/1": "secret", "cat": "rest", "cats": "rest", "x/cats/1": "rest"} {
		v := `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "media", key) + `]}`
		if j := one(t, Record{Value: []byte(v)}, Options{Buckets: buckets}); j.Dataset != want {
			t.Errorf("%s: dataset %q, want %q", key, j.Dataset, want)
		}
	}
	parts, err := Parse(Record{Value: []byte(`{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "archive", "2025/1") + `]}`)}, Options{Buckets: buckets})
	if err != nil || len(parts) != 1 || codecs.AsError(parts[0].Fault).Code != pipeline.CodeMsgBucket {
		t.Errorf("a prefix that no rule has: %+v, %v", parts, err)
	}
}

// The same object written twice must be two jobs, and a repeated event one.
func TestVersionMakesTheID(t *testing.T) {
	id := func(etag string) string {
		v := fmt.Sprintf(`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"media"},"object":{"key":"cats/1","eTag":%q,"versionId":"null"}}}]}`, etag)
		return one(t, Record{Value: []byte(v)}, Options{Buckets: buckets}).ID
	}
	if id("a") != id("a") || id("a") == id("b") {
		t.Errorf("ids %s, %s, %s", id("a"), id("a"), id("b"))
	}
}

func TestNotificationsRefused(t *testing.T) {
	good := s3Event("2.1", "ObjectCreated:Put", "media", "cats/1")
	nested := good
	for range maxEnvelopes + 1 {
		body, _ := json.Marshal(`{"Records":[` + nested + `]}`)
		nested = `{"body":` + string(body) + `}`
	}
	for _, c := range []struct {
		name, value string
		code        codecs.Code
		says        string
	}{
		{"not a list", `{"Records":{}}`, pipeline.CodeMsgInvalid, "/Records is a object"},
		{"nothing", `{"Records":[]}`, pipeline.CodeMsgInvalid, "/Records is empty"},
		{"a number", `{"Records":[1]}`, pipeline.CodeMsgInvalid, "/Records/0 is a number"},
		{"1001 records", `{"Records":[` + strings.Repeat(good+",", MaxRecords) + good + `]}`, pipeline.CodeMsgLimit, "more than 1000 objects"},
		{"a later version", `{"Records":[` + good + `,` + s3Event("3.0", "ObjectCreated:Put", "media", "k") + `]}`, pipeline.CodeMsgVersion, `/Records/1/eventVersion is "3.0"`},
		{"no event name", `{"Records":[{"s3":{}}]}`, pipeline.CodeMsgInvalid, "/Records/0 has no eventName"},
		{"broken encoding", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "media", "a%zz") + `]}`, pipeline.CodeMsgInvalid, `key is "a%zz", which is not URL-encoded`},
		{"no bucket", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "", "a") + `]}`, pipeline.CodeMsgInvalid, `the bucket ""`},
		{"a bucket with a slash", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "a/b", "a") + `]}`, pipeline.CodeMsgInvalid, `the bucket "a/b"`},
		{"no key", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "media", "") + `]}`, pipeline.CodeMsgInvalid, `the key ""`},
		{"a key that is not UTF-8", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "media", "%ff") + `]}`, pipeline.CodeMsgInvalid, `the key "\xff"`},
		{"a key over 1024 bytes", `{"Records":[` + s3Event("2.1", "ObjectCreated:Put", "media", strings.Repeat("k", 1025)) + `]}`, pipeline.CodeMsgLimit, "over 1024 bytes"},
		{"a key that is a number", `{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":1}}}]}`, pipeline.CodeMsgInvalid, "/Records/0 can not be read"},
		{"another test event", `{"Event":"s3:Other","Bucket":"b"}`, pipeline.CodeMsgInvalid, "looks like a bucket's test event"},
		{"another source of EventBridge", `{"detail-type":"x","source":"aws.ec2","detail":{}}`, pipeline.CodeMsgType, `source "aws.ec2"`},
		{"EventBridge without detail", `{"detail-type":"Object Created","source":"aws.s3"}`, pipeline.CodeMsgInvalid, "/detail can not be read"},
		{"an SNS subscription", `{"Type":"SubscriptionConfirmation","TopicArn":"arn","Message":"x"}`, pipeline.CodeMsgType, "SubscriptionConfirmation"},
		{"SNS without a message", `{"Type":"Notification","TopicArn":"arn"}`, pipeline.CodeMsgInvalid, "without a text in Message"},
		{"a bad job in SQS", `{"ReceiptHandle":"r","Body":"{\"a\":1,\"a\":2}"}`, pipeline.CodeMsgInvalid, "inside an SQS envelope: the key"},
		{"too many envelopes", `{"Records":[` + nested + `]}`, pipeline.CodeMsgLimit, "more than 3 envelopes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := refused(t, Record{Value: []byte(c.value)}, Options{Buckets: buckets})
			if e.Code != c.code || !strings.Contains(e.Detail, c.says) {
				t.Errorf("%s: %s\nwant %s: ...%s...", e.Code, e.Detail, c.code, c.says)
			}
		})
	}
}

// A batch's envelopes may hold many records each; the limit is on all of them.
func TestLimitOfObjectsCountsAllEnvelopes(t *testing.T) {
	body, _ := json.Marshal(`{"Records":[` + strings.Repeat(s3Event("2.1", "ObjectCreated:Put", "media", "cats/1")+",", 600) + s3Event("2.1", "ObjectCreated:Put", "media", "cats/2") + `]}`)
	batch := func(n int) Record {
		one := `{"body":` + string(body) + `}`
		return Record{Value: []byte(`{"Records":[` + strings.Repeat(one+",", n-1) + one + `]}`)}
	}
	if parts, err := Parse(batch(1), Options{Buckets: buckets}); err != nil || len(parts) != 601 {
		t.Errorf("%d parts, %v", len(parts), err)
	}
	if e := refused(t, batch(2), Options{Buckets: buckets}); e.Code != pipeline.CodeMsgLimit {
		t.Error(e)
	}
}
