package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a recipe's YAML. Tokens bound the parser's recursion and time; nodes
// are counted after aliases are followed, so that aliases of aliases can not blow up.
const (
	MaxBytes  = 1 << 20
	maxTokens = 10_000
	maxNodes  = 10_000
	maxDepth  = 16
)

// kind is what a YAML node is to a recipe.
type kind string

const (
	isMap    kind = "mapping"
	isList   kind = "list"
	isString kind = "string"
	isNumber kind = "number"
	isBool   kind = "boolean"
	isNull   kind = "null"
)

// node is a YAML value with its place. Aliases share the node that they name.
type node struct {
	kind    kind
	at      position
	text    string // of scalars: strings unquoted, others as written
	members []member
	items   []*node
}

type member struct {
	key   string
	at    position
	value *node
}

// parseYAML reads one document. Faults bear the file's name.
func parseYAML(file string, data []byte) (*node, error) {
	r := &reader{file: file, anchors: map[string]*node{}}
	if len(data) > MaxBytes {
		return nil, r.fault(position{1, 1}, "the recipe has %d bytes, over the limit of %d", len(data), MaxBytes)
	}
	if !utf8.Valid(data) {
		return nil, r.fault(position{1, 1}, "the recipe is not valid UTF-8")
	}
	tokens := lexer.Tokenize(string(data))
	n := 0
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		if n++; n > maxTokens {
			return nil, r.fault(place(t), "the recipe has more than %d words and marks", maxTokens)
		}
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // mapping says it better
	if err != nil {
		var ye yaml.Error
		if errors.As(err, &ye) && ye.GetToken() != nil {
			return nil, r.fault(place(ye.GetToken()), "this is not YAML: %s", oneLine.Replace(ye.GetMessage()))
		}
		return nil, r.fault(position{1, 1}, "this is not YAML: %s", oneLine.Replace(err.Error()))
	}
	var body *ast.DocumentNode
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			return nil, r.fault(place(d.Start), "a second document starts here; one file holds one recipe")
		}
		body = d
	}
	if body == nil {
		return nil, r.fault(position{1, 1}, "the recipe is empty; write at least dataset: NAME and tokens: PRESET")
	}
	return r.node(body.Body, 1)
}

// oneLine keeps the parser's messages, which quote the text, to one line.
var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`)

// reader turns the parser's tree into nodes.
type reader struct {
	file    string
	nodes   int
	anchors map[string]*node
}

func (r *reader) fault(at position, format string, args ...any) error {
	return &fault{r.file, at, fmt.Sprintf(format, args...)}
}

func place(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// count adds n nodes against the limit.
func (r *reader) count(at position, n int) error {
	if r.nodes += n; r.nodes > maxNodes {
		return r.fault(at, "the recipe has more than %d values, those behind aliases counted each time", maxNodes)
	}
	return nil
}

func (r *reader) node(n ast.Node, depth int) (*node, error) {
	at := place(n.GetToken())
	if err := r.count(at, 1); err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, r.fault(at, "the recipe is nested deeper than %d levels", maxDepth)
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			at = place(v.Values[0].Key.GetToken()) // the node's own is the colon's
		}
		return r.mapping(at, v.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(place(v.Key.GetToken()), []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		l := &node{kind: isList, at: at}
		for _, item := range v.Values {
			c, err := r.node(item, depth+1)
			if err != nil {
				return nil, err
			}
			l.items = append(l.items, c)
		}
		return l, nil
	case *ast.AnchorNode:
		c, err := r.node(v.Value, depth+1)
		if err == nil {
			r.anchors[v.Name.GetToken().Value] = c
		}
		return c, err
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		c, ok := r.anchors[name]
		if !ok {
			return nil, r.fault(at, "the alias *%s has no anchor &%s above it", name, name)
		}
		return c, r.count(at, c.size())
	}
	return r.scalar(n, at)
}

// exponent is a number of YAML 1.2 that the parser takes for a text: 64e6.
var exponent = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$`)

func (r *reader) scalar(n ast.Node, at position) (*node, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		if v.Token.Type == token.StringType && exponent.MatchString(v.Value) {
			return &node{kind: isNumber, at: at, text: v.Value}, nil
		}
		return &node{kind: isString, at: at, text: v.Value}, nil
	case *ast.LiteralNode:
		return &node{kind: isString, at: at, text: v.Value.Value}, nil
	case *ast.IntegerNode, *ast.FloatNode:
		return &node{kind: isNumber, at: at, text: n.GetToken().Value}, nil
	case *ast.BoolNode:
		return &node{kind: isBool, at: at, text: strconv.FormatBool(v.Value)}, nil
	case *ast.NullNode:
		return &node{kind: isNull, at: at}, nil
	}
	return nil, r.fault(at, "a recipe has no use for YAML's %s; write a plain value", n.Type())
}

func (r *reader) mapping(at position, values []*ast.MappingValueNode, depth int) (*node, error) {
	m := &node{kind: isMap, at: at}
	seen := map[string]position{}
	for _, v := range values {
		key, ok := v.Key.(ast.ScalarNode)
		if !ok || v.Key.IsMergeKey() {
			return nil, r.fault(place(v.Key.GetToken()), "a key should be a plain word here")
		}
		t := key.GetToken()
		name, where := t.Value, place(t)
		if before, twice := seen[name]; twice {
			return nil, r.fault(where, "%s stands twice, here and in line %d; leave one", shown(name), before.line)
		}
		seen[name] = where
		c, err := r.node(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		m.members = append(m.members, member{name, where, c})
	}
	return m, nil
}

// size is the number of nodes in a tree. An anchor's node was counted when it was
// read, aliases in it included, so the walk is bounded by the limit.
func (n *node) size() int {
	s := 1
	for _, m := range n.members {
		s += m.value.size()
	}
	for _, i := range n.items {
		s += i.size()
	}
	return s
}

// shown quotes text of the recipe for a message, cut to a bearable length.
func shown(s string) string {
	if len(s) > 60 {
		return strconv.Quote(s[:60]) + "..."
	}
	return strconv.Quote(s)
}
