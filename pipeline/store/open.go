package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Open opens the store that a URL names:
//
//	file:///data/set, /data/set, data/set    a directory (see [OpenDir])
//	s3://bucket/prefix                       a bucket (see [OpenS3])
//
// An s3 URL may carry the settings endpoint, region, path_style, insecure, profile,
// anonymous and create_bucket as its query; they win over cfg. Secrets are never
// part of a URL. Requests are tried once: wrap the store in a [Retry]. A store that
// is also an io.Closer is to be closed after use.
func Open(ctx context.Context, location string, cfg Config) (Store, error) {
	scheme, rest, found := strings.Cut(location, "://")
	switch {
	case location == "":
		return nil, errors.New("open a store: no location is given; want s3://bucket/prefix, file:///path or a path")
	case !found:
		return OpenDir(location)
	case scheme == "file":
		return openFileURL(location, rest)
	case scheme != "s3":
		return nil, fmt.Errorf("open the store: %q is no scheme known here; want s3://bucket/prefix, file:///path or a path", scheme)
	}
	bucket, prefix, cfg, err := parseS3(location, cfg)
	if err != nil {
		return nil, err
	}
	return OpenS3(ctx, bucket, prefix, cfg)
}

func openFileURL(location, rest string) (Store, error) {
	if !strings.HasPrefix(rest, "/") {
		return nil, fmt.Errorf("open the store %q: a file URL has three slashes: file:///path", location)
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return nil, fmt.Errorf("open the store %q: %w", location, err)
	}
	return OpenDir(path)
}

func parseS3(location string, cfg Config) (bucket, prefix string, _ Config, err error) {
	u, err := url.Parse(location)
	if err != nil {
		var ue *url.Error // its text repeats the location, which may hold a secret
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", "", cfg, fmt.Errorf("open the store: not a URL: %w", err)
	}
	if u.User != nil {
		return "", "", cfg, fmt.Errorf("open the store s3://%s: credentials do not belong into the URL; use the configuration or the environment", u.Host)
	}
	prefix = strings.Trim(u.Path, "/")
	if prefix != "" {
		if err := CheckKey(prefix); err != nil {
			return "", "", cfg, fmt.Errorf("open the store s3://%s: %w", u.Host, err)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", "", cfg, fmt.Errorf("open the store s3://%s: its query: %w", u.Host, err)
	}
	for name, values := range query {
		if err := cfg.set(name, values[len(values)-1]); err != nil {
			return "", "", cfg, fmt.Errorf("open the store s3://%s: %w", u.Host, err)
		}
	}
	return u.Host, prefix, cfg, nil
}

// set takes one setting from a URL's query.
func (c *Config) set(name, value string) error {
	texts := map[string]*string{"endpoint": &c.Endpoint, "region": &c.Region, "profile": &c.Profile}
	flags := map[string]*bool{"path_style": &c.PathStyle, "insecure": &c.Insecure, "anonymous": &c.Anonymous, "create_bucket": &c.CreateBucket}
	if text, ok := texts[name]; ok {
		*text = value
		return nil
	}
	flag, ok := flags[name]
	if !ok {
		return fmt.Errorf("its query has %q; only endpoint, region, profile, path_style, insecure, anonymous and create_bucket are known", name)
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("%s=%q: want true or false", name, value)
	}
	*flag = on
	return nil
}

// Location is what a URL names, without the settings in its query: what tells a store
// from another, and may be written down.
func Location(location string) string {
	where, _, _ := strings.Cut(location, "?")
	return strings.TrimRight(where, "/")
}
