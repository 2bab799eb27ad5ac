package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bom is what is read of a CycloneDX document.
type bom struct {
	BOMFormat   string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Metadata    struct {
		Component struct{ Name, Version string }
	}
	Components []struct {
		Type, Name, Version, Purl string
		Ref                       string `json:"bom-ref"`
	}
}

func sbom(t *testing.T, packages string, modules []byte) (b bom, err error) {
	t.Helper()
	dir := t.TempDir()
	lists := []string{filepath.Join(dir, "packages"), filepath.Join(dir, "modules")}
	for i, text := range []string{packages, string(modules)} {
		if err := os.WriteFile(lists[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("sh", deployRoot+"/tools/sbom.sh", `v1 "quoted"`, lists[0], lists[1]).Output()
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return b, nil
}

// The list of an image names each package and each module once, by what scanners look for.
func TestSBOM(t *testing.T) {
	packages := "libavcodec59\t7:5.1.9-0+deb12u1\tamd64\tffmpeg\t7:5.1.9-0+deb12u1\n" +
		"libstdc++6\t12.2.0-14\tamd64\tgcc-12\t12.2.0-14\n" + "tzdata\t2026a-0\tall\ttzdata\t2026a-0\n"
	modules, err := exec.Command("go", "version", "-m", os.Args[0]).Output()
	if err != nil {
		t.Skipf("go can not tell what this test is made of: %v", err)
	}
	modules = append(modules, "\tdep\texample.org/old\tv1.0.0\n\t=>\texample.org/new\tv2.0.0+incompatible\th1:x=\n\tbuild\t-race=true\n"...)
	b, err := sbom(t, packages, modules)
	if err != nil {
		t.Fatal(err)
	}
	if b.BOMFormat != "CycloneDX" || b.SpecVersion != "1.5" || b.Metadata.Component.Version != `v1 "quoted"` {
		t.Errorf("the document is %+v", b.Metadata)
	}
	purls := map[string]bool{}
	for _, c := range b.Components {
		if c.Type != "library" || c.Ref != c.Purl || c.Name == "" || c.Version == "" || purls[c.Purl] {
			t.Errorf("a component is %+v", c)
		}
		purls[c.Purl] = true
	}
	for _, want := range []string{
		"pkg:deb/debian/libavcodec59@7%3A5.1.9-0%2Bdeb12u1?arch=amd64&upstream=ffmpeg%407%3A5.1.9-0%2Bdeb12u1",
		"pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&upstream=gcc-12%4012.2.0-14", "pkg:deb/debian/tzdata@2026a-0?arch=all",
		"pkg:golang/example.org/new@v2.0.0%2Bincompatible",
	} {
		if !purls[want] {
			t.Errorf("there is no %s", want)
		}
	}
	joined := strings.Join(strings.Fields(strings.ReplaceAll(string(modules), "\n", " ")), " ")
	if purls["pkg:golang/example.org/old@v1.0.0"] || !strings.Contains(joined, "github.com/asticode/go-astiav") {
		t.Error("a module that was replaced is in the list, or this test is not made of the program")
	}
	if want := strings.Count(string(modules), "\tdep\t") + 1 + 3; len(purls) != want { // the standard library, the packages
		t.Errorf("%d components, want %d", len(purls), want)
	}
	for _, lists := range [][2]string{{"", string(modules)}, {packages, ""}} {
		if _, err := sbom(t, lists[0], []byte(lists[1])); err == nil {
			t.Error("an empty list is taken")
		}
	}
}
