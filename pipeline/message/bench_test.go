package message

import "testing"

func BenchmarkParse(b *testing.B) {
	for name, r := range map[string]Record{
		"job":          {Value: read(b, "job.json")},
		"notification": {Value: read(b, "minio-put.json")},
		"media 8 MiB":  {Value: make([]byte, MaxValue), Headers: headers("content-type", "video/mp4", "dataset", "d")},
		"event":        {Value: read(b, "ce-structured.json")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(r, Options{Buckets: buckets}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
