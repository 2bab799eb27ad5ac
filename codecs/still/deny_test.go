package still_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Nothing in the program decodes by whatever decoders packages happen to have registered:
// importing imaging alone registers those of TIFF and BMP, whose palettes can panic later
// (CVE-2023-36308).
func TestNoRegisteredDecoders(t *testing.T) {
	denied := map[string][]string{
		"image":                             {"Decode", "DecodeConfig"},
		"github.com/disintegration/imaging": {"Open", "Decode"},
	}
	files := 0
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && e.Name() != ".." || e.Name() == "testdata":
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, s := range calls(f, denied) {
			t.Errorf("%s: %s", set.Position(s.Pos()), s.Sel.Name)
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// calls are the uses of denied names of packages in a file.
func calls(f *ast.File, denied map[string][]string) (found []*ast.SelectorExpr) {
	names := map[string][]string{} // by the name that the file has for the package
	for _, imp := range f.Imports {
		path := strings.Trim(imp.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		if d, ok := denied[path]; ok {
			names[name] = d
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok {
				for _, d := range names[pkg.Name] {
					if s.Sel.Name == d {
						found = append(found, s)
					}
				}
			}
		}
		return true
	})
	return found
}

// The check finds what it is for, by any name.
func TestFindsRegisteredDecoders(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
import (
	"image"
	im "github.com/disintegration/imaging"
)
var _, _, _ = image.Decode, im.Open, image.NewRGBA`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if found := calls(f, map[string][]string{"image": {"Decode"}, "github.com/disintegration/imaging": {"Open"}}); len(found) != 2 {
		t.Errorf("found %d", len(found))
	}
}
