package main

import "github.com/millrace/millrace/services/settings"

// storeFlags say where datasets are.
type storeFlags struct {
	To       string `help:"Where to write: s3://bucket/prefix, file:///path, or a path." placeholder:"URL"`
	Endpoint string `help:"S3 endpoint other than AWS." placeholder:"URL"`
	Region   string `help:"S3 region." placeholder:"NAME"`
}

func (f storeFlags) apply(c *settings.Config) {
	set(&c.Store.URL, f.To)
	set(&c.Store.Endpoint, f.Endpoint)
	set(&c.Store.Region, f.Region)
}

// queueFlags say where the ingest topic is.
type queueFlags struct {
	Brokers []string `help:"Kafka brokers to begin with." placeholder:"HOST:PORT"`
	Topic   string   `help:"Ingest topic." placeholder:"NAME"`
	Group   string   `help:"Consumer group." placeholder:"NAME"`
}

func (f queueFlags) apply(c *settings.Config) {
	if len(f.Brokers) > 0 {
		c.Queue.Brokers = f.Brokers
	}
	set(&c.Queue.Topic, f.Topic)
	set(&c.Queue.Group, f.Group)
}

func set(to *string, flag string) {
	if flag != "" {
		*to = flag
	}
}
