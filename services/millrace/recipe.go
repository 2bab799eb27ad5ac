package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/settings"
)

type recipeCmd struct {
	Validate recipeValidateCmd `cmd:"" help:"Check recipes: exit 3 if one can not be used."`
	Show     recipeShowCmd     `cmd:"" help:"Show a recipe with every default filled in, and its digest."`
	Diff     diffCmd           `cmd:"" help:"Say what two recipes differ in, and whether the arrays can: exit 1 if they differ."`
	Schema   recipeSchemaCmd   `cmd:"" help:"Print the JSON Schema of recipes, or of the ingest message."`
}

type recipeValidateCmd struct {
	Files []string `arg:"" help:"Recipe files." type:"existingfile"`
}

func (recipeValidateCmd) Help() string { return "Example:  millrace recipe validate recipes/*.yaml" }

func (c recipeValidateCmd) Run(a *app) error {
	type result struct {
		File    string `json:"file"`
		Dataset string `json:"dataset,omitempty"`
		Digest  string `json:"digest,omitempty"`
		Error   string `json:"error,omitempty"`
	}
	bad := 0
	for _, f := range c.Files {
		r, err := load(f)
		res := result{File: f}
		if err != nil {
			bad++
			res.Error = err.Error()
		} else {
			res.Dataset, res.Digest = r.Dataset, r.Digest
		}
		switch {
		case a.json:
			if err := a.printJSON(res); err != nil {
				return err
			}
		case err != nil:
			fmt.Fprintln(a.errOut, err)
		default:
			fmt.Fprintf(a.out, "%s: good; dataset %s, digest %.12s\n", f, r.Dataset, r.Digest)
		}
	}
	if bad > 0 {
		return faultsError{fmt.Errorf("%d of %d recipes can not be used", bad, len(c.Files))}
	}
	return nil
}

// load reads a recipe and sees that this build can run it.
func load(file string) (*pipeline.Recipe, error) {
	r, err := recipe.Load(file)
	if err != nil {
		return nil, err
	}
	return r, settings.Config{}.CheckLimits(r)
}

type recipeShowCmd struct {
	Recipe  string `arg:"" optional:"" help:"Recipe file, or the digest that a sample or commit record names (8 digits or more)." placeholder:"FILE|DIGEST"`
	Default string `help:"Show the default recipe of this dataset instead." placeholder:"DATASET"`
	archiveFlags
}

func (recipeShowCmd) Help() string {
	return `Examples:  millrace recipe show recipes/cats.yaml
           millrace recipe show 15cc9c9bd9a2 --store s3://bucket/set

A digest is looked up in the store that the samples are in: each recipe is kept beside them.`
}

func (c recipeShowCmd) Run(a *app) error {
	var r *pipeline.Recipe
	var err error
	switch {
	case c.Recipe != "" && c.Default != "":
		return usageError{errors.New("name a recipe or --default DATASET, not both")}
	case c.Recipe != "":
		r, err = c.find(a, c.Recipe)
	case c.Default != "":
		if r, err = recipe.Default(c.Default); err != nil {
			err = faultsError{err}
		}
	default:
		return usageError{errors.New("name a recipe file, a digest, or --default DATASET")}
	}
	if errors.Is(err, recipe.ErrOtherVersion) {
		return c.showDocument(a, err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	_, err = a.out.Write(recipe.Show(r))
	return err
}

// showDocument prints a recipe of another version of Millrace as it is kept.
func (c recipeShowCmd) showDocument(a *app, why error) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	doc, _, err := recipe.Document(a.ctx, store.Plain{Store: s}, c.Recipe)
	if err != nil {
		return faultsError{err}
	}
	fmt.Fprintf(a.errOut, "%v; this is what is kept\n", why)
	_, err = fmt.Fprintf(a.out, "%s\n", doc)
	return err
}

// archiveFlags say where recipes are looked up by digest.
type archiveFlags struct {
	Store    string `help:"The store whose samples name the digest: s3://bucket/prefix, file:///path, or a path." placeholder:"URL"`
	Endpoint string `help:"S3 endpoint other than AWS." placeholder:"URL"`
	Region   string `help:"S3 region." placeholder:"NAME"`
}

// open opens the store that the flags or the settings name.
func (f archiveFlags) open(a *app) (store.Store, func(), error) {
	if f.Store == "" {
		cfg, err := a.settings()
		if err != nil {
			return nil, nil, err
		}
		f.Store = cfg.Store.URL
	}
	if f.Store == "" {
		return nil, nil, usageError{errors.New("a digest is looked up in a store; name it with --store URL or the setting store.url")}
	}
	return storeArg{URL: f.Store, Endpoint: f.Endpoint, Region: f.Region}.open(a)
}

// find gives the recipe in a file, or of a digest. A file goes first.
func (f archiveFlags) find(a *app, name string) (*pipeline.Recipe, error) {
	if _, err := os.Stat(name); err == nil || !recipe.IsDigest(name) {
		r, err := recipe.Load(name)
		if err != nil {
			return nil, faultsError{err}
		}
		return r, nil
	}
	s, done, err := f.open(a)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := recipe.Find(a.ctx, store.Plain{Store: s}, name)
	if err != nil && a.ctx.Err() == nil {
		err = faultsError{err}
	}
	return r, err
}

type recipeSchemaCmd struct {
	Of string `arg:"" optional:"" enum:"recipe,message" default:"recipe" help:"recipe or message."`
}

func (recipeSchemaCmd) Help() string {
	return "Example:  millrace recipe schema > recipe.schema.json"
}

func (c recipeSchemaCmd) Run(a *app) error {
	schema := recipe.Schema()
	if c.Of == "message" {
		schema = message.Schema()
	}
	_, err := a.out.Write(schema)
	return err
}

// printJSON writes one value as a line of JSON.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
