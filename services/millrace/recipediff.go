package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
)

// diffCmd is both `millrace recipe diff` and `millrace diff-recipe`.
type diffCmd struct {
	A string `arg:"" help:"Recipe file, or a digest (8 digits or more)." placeholder:"A"`
	B string `arg:"" help:"The other one." placeholder:"B"`
	archiveFlags
}

func (diffCmd) Help() string {
	return `Examples:  millrace recipe diff old.yaml new.yaml
           millrace diff-recipe 15cc9c9bd9a2 recipes/cats.yaml --store s3://bucket/set

Each field that differs comes with its effect: whether a sample's arrays can differ, whether
there are other samples, whether kept originals differ, or whether only the shards do.
Exit codes: 0 one digest; 1 they differ; 3 one can not be read or found.`
}

func (c diffCmd) Run(a *app) error {
	x, err := c.find(a, c.A)
	if err != nil {
		return err
	}
	y, err := c.find(a, c.B)
	if err != nil {
		return err
	}
	d := recipe.Diff(x, y)
	if a.json {
		err = a.printJSON(d)
	} else {
		err = c.print(a.out, x, y, d)
	}
	if err == nil && !d.Same {
		err = errors.New("the recipes differ")
	}
	return err
}

func (c diffCmd) print(to io.Writer, x, y *pipeline.Recipe, d *recipe.Difference) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "A  %s\tdataset %s\tdigest %.12s\n", c.A, x.Dataset, d.A)
	fmt.Fprintf(w, "B  %s\tdataset %s\tdigest %.12s\n", c.B, y.Dataset, d.B)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, change := range d.Changes {
		var says []string
		for _, e := range change.Effects {
			says = append(says, e.Says())
		}
		fmt.Fprintf(to, "%v\n    %s\n", change, strings.Join(says, "; "))
	}
	_, err := fmt.Fprintln(to, verdict(d))
	return err
}

// verdict sums up what all changes together can do.
func verdict(d *recipe.Difference) string {
	if d.Same {
		return "One digest: they make the same samples in the same shards."
	}
	or := func(differs bool, yes, no string) string {
		if differs {
			return yes
		}
		return no
	}
	return fmt.Sprintf("A sample that both make: its arrays %s, its kept originals %s. %s",
		or(d.Arrays, "can differ", "are equal"), or(d.Originals, "can differ", "are equal"),
		or(d.Samples, "They make other samples.", "They make the same samples of what neither refuses."))
}
