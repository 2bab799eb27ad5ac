package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/services/settings"
)

type recipeCmd struct {
	Validate recipeValidateCmd `cmd:"" help:"Check recipes: exit 3 if one can not be used."`
	Show     recipeShowCmd     `cmd:"" help:"Show a recipe with every default filled in, and its digest."`
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
	File    string `arg:"" optional:"" help:"Recipe file." type:"existingfile"`
	Default string `help:"Show the default recipe of this dataset instead." placeholder:"DATASET"`
}

func (recipeShowCmd) Help() string { return "Example:  millrace recipe show recipes/cats.yaml" }

func (c recipeShowCmd) Run(a *app) error {
	var r *pipeline.Recipe
	var err error
	switch {
	case c.File != "":
		r, err = recipe.Load(c.File)
	case c.Default != "":
		r, err = recipe.Default(c.Default)
	default:
		return usageError{errors.New("name a recipe file, or --default DATASET")}
	}
	if err != nil {
		return faultsError{err}
	}
	if a.json {
		return a.printJSON(r)
	}
	_, err = a.out.Write(recipe.Show(r))
	return err
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
