package backfill

import (
	"fmt"
	"slices"
	"strings"
)

//nolint:gochecknoglobals // constant tables, as the users of img2dataset and video2dataset name their columns
var (
	urlColumns  = []string{"url", "URL", "uri", "link", "image_url", "video_url", "contentUrl", "path"}
	textColumns = []string{"text", "caption", "TEXT"}
)

// columns are the places of a list's columns.
type columns struct {
	names []string
	url   int
	text  int // -1 where there is none
	meta  []int
}

// choose finds the columns by the options, or by their usual names.
func choose(names []string, opt Options) (columns, error) {
	c := columns{names: names, url: -1, text: -1}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return c, fmt.Errorf("it has two columns named %.80q", n)
		}
	}
	var err error
	if c.url, err = find(names, opt.URLColumn, urlColumns); err != nil {
		return c, err
	}
	if c.url < 0 {
		return c, fmt.Errorf("it has no column of URIs (url, link, path, ...): its columns are %s; name one with --url-column", strings.Join(quoted(names), ", "))
	}
	if c.text, err = find(names, opt.TextColumn, textColumns); err != nil {
		return c, err
	}
	for _, n := range opt.MetaColumns {
		i, err := find(names, n, nil)
		if err != nil {
			return c, err
		}
		c.meta = append(c.meta, i)
	}
	if opt.MetaColumns == nil {
		for i := range names {
			if i != c.url && i != c.text {
				c.meta = append(c.meta, i)
			}
		}
	}
	return c, nil
}

// find gives the place of the wanted column, or of the first usual one; -1 for none.
func find(names []string, wanted string, usual []string) (int, error) {
	if wanted != "" {
		i := slices.Index(names, wanted)
		if i < 0 {
			return -1, fmt.Errorf("it has no column %.80q: its columns are %s", wanted, strings.Join(quoted(names), ", "))
		}
		return i, nil
	}
	for _, u := range usual {
		if i := slices.Index(names, u); i >= 0 {
			return i, nil
		}
	}
	return -1, nil
}

// quoted is for messages: not all of a thousand columns.
func quoted(names []string) []string {
	var q []string
	for i, n := range names {
		if i == 20 {
			return append(q, "...")
		}
		q = append(q, fmt.Sprintf("%.40q", n))
	}
	return q
}
