package keeper

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline/queue"
)

// Every code that exists has advice of its own, but for limits of media, which share theirs.
func TestAdviceForEachCode(t *testing.T) {
	n := 0
	for _, file := range []string{"../../codecs/errors.go", "../../pipeline/codes.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			text, ok := spec.Values[0].(*ast.BasicLit)
			if !ok { // another's name for the same code
				return true
			}
			code, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			n++
			if _, own := advice[codecs.Code(code)]; !own && !strings.HasPrefix(code, "limit.") || len(Advice(code)) < 20 {
				t.Errorf("%s (%s) has no advice", spec.Names[0].Name, code)
			}
			return true
		})
	}
	if n < 35 {
		t.Errorf("%d codes were found; there are more", n)
	}
}

func TestAdviceForCodesToCome(t *testing.T) {
	for code, says := range map[string]string{"limit.new": "raise it", "msg.new": "producer", "source.new": "fetched", "transient.new": "fetched", "new": "detail", "": "detail"} {
		if got := Advice(code); !strings.Contains(got, says) {
			t.Errorf("%q: %s", code, got)
		}
	}
}

func TestReasonsOfSkipsAreSaid(t *testing.T) {
	for _, r := range []queue.Reason{queue.SkipControl, queue.SkipAborted, queue.SkipGap, queue.SkipLimit, queue.SkipInvalid, queue.SkipFormat} {
		if skipMeans(string(r)) == string(r) {
			t.Errorf("%s is not explained", r)
		}
	}
}
