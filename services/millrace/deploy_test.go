package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/services/settings"
	"github.com/millrace/millrace/services/worker"
)

const (
	root       = "../.."
	deployRoot = root + "/deploy"
	kubeBase   = deployRoot + "/kubernetes/base"
)

// tree is a YAML document.
type tree = map[string]any

// documents reads all documents of YAML text. A key that stands twice is an error.
func documents(t *testing.T, name string, text []byte) (docs []tree) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc tree
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		docs = append(docs, doc)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dig follows names and, in lists, positions down a document.
func dig(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(tree)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				t.Fatalf("there is nothing at %v", path[:i+1])
			}
			v = l[p]
		}
		if v == nil {
			t.Fatalf("there is nothing at %v", path[:i+1])
		}
	}
	return v
}

// baseObjects are the objects of the Kubernetes base as "kind name".
func baseObjects(t *testing.T) map[string]tree {
	t.Helper()
	objects := map[string]tree{}
	list := documents(t, "kustomization.yaml", []byte(readText(t, kubeBase+"/kustomization.yaml")))[0]
	for _, f := range dig(t, list, "resources").([]any) {
		for _, o := range documents(t, f.(string), []byte(readText(t, filepath.Join(kubeBase, f.(string))))) {
			objects[fmt.Sprint(o["kind"], " ", dig(t, o, "metadata", "name"))] = o
		}
	}
	return objects
}

func TestDeployParses(t *testing.T) {
	n := 0
	err := filepath.WalkDir(deployRoot, func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err == nil && (ext == ".yaml" || ext == ".yml") {
			documents(t, path, []byte(readText(t, path)))
			n++
		}
		return err
	})
	if err != nil || n < 15 {
		t.Errorf("%d files; %v", n, err)
	}
}

// secretsIn gives text whose /run/secrets is a folder of the test with these files.
func secretsIn(t *testing.T, text string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		p := filepath.Join(dir, n)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(text, "/run/secrets", dir)
}

// loaded is what a settings file and an environment mean, once it is found to be valid for
// a worker and a gateway. recipes are the folders that stand for /etc/millrace/recipes.
func loaded(t *testing.T, text string, environ []string, recipes ...string) settings.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "millrace.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := settings.Load(file, environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(true); err != nil {
		t.Error(err)
	}
	if !slices.Equal(c.Recipes, []string{"/etc/millrace/recipes"}) {
		t.Errorf("recipes are looked for at %v", c.Recipes)
	}
	c.Recipes = recipes
	find, err := c.LoadRecipes()
	if err != nil {
		t.Fatal(err)
	}
	for _, dataset := range append(strings.Fields(c.Ingest.Dataset), "default") {
		if find(dataset) == nil {
			t.Errorf("dataset %s has no recipe", dataset)
		}
	}
	return c
}

func TestComposeSettings(t *testing.T) {
	compose := documents(t, "docker-compose.yml", []byte(readText(t, root+"/docker-compose.yml")))[0]
	for _, service := range []string{"worker", "gateway", "doctor"} {
		env := dig(t, compose, "services", service, "environment").(tree)
		var text strings.Builder
		for _, name := range slices.Sorted(mapKeys(env)) {
			if name != "MILLRACE_CONFIG" {
				fmt.Fprintf(&text, "%s=%v\n", name, env[name])
			}
		}
		config := ""
		if env["MILLRACE_CONFIG"] != nil {
			config = readText(t, deployRoot+"/compose/gateway.yaml")
		}
		both := secretsIn(t, text.String()+"\x00"+config, "s3_secret_key", "gateway_tokens")
		lines, config, _ := strings.Cut(both, "\x00")
		c := loaded(t, config, strings.Fields(lines), deployRoot+"/compose/recipes")
		if service == "gateway" {
			if err := c.Gateway.Validate(); err != nil {
				t.Error(err)
			}
			if c.Gateway.Listen != ":8080" {
				t.Errorf("the gateway listens at %s", c.Gateway.Listen)
			}
		}
		if n := dig(t, compose, "services", service, "cpus"); fmt.Sprint(n) != fmt.Sprint(c.Mill.Count) {
			t.Errorf("%s has %v cpus and %d mills", service, n, c.Mill.Count)
		}
		for name, want := range map[string]any{"read_only": true, "cap_drop": []any{"ALL"}, "security_opt": []any{"no-new-privileges:true"}, "stop_grace_period": "60s"} {
			if got := dig(t, compose, "services", service, name); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s is %v", service, name, got)
			}
		}
	}
	for name, s := range dig(t, compose, "services").(tree) {
		for _, p := range items(s.(tree)["ports"]) {
			if !strings.HasPrefix(p.(string), "127.0.0.1:") {
				t.Errorf("%s is open to others than this machine: %v", name, p)
			}
		}
		for _, limit := range []string{"mem_limit", "cpus", "pids_limit"} {
			dig(t, s, limit)
		}
	}
}

func mapKeys(m tree) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func items(v any) []any {
	l, _ := v.([]any)
	return l
}

func TestKubernetesSettings(t *testing.T) {
	for dir, recipes := range map[string][]string{kubeBase: {kubeBase + "/recipes"}, deployRoot + "/kubernetes/example": {kubeBase + "/recipes", deployRoot + "/kubernetes/example/recipes"}} {
		text := secretsIn(t, readText(t, dir+"/settings.yaml"), "store/access_key", "store/secret_key", "gateway/tokens.yaml")
		c := loaded(t, text, nil, recipes...)
		if err := c.Gateway.Validate(); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// What the manifests say in several places is said alike, and as the program means it.
func TestKubernetesAgrees(t *testing.T) {
	objects := baseObjects(t)
	c := loaded(t, secretsIn(t, readText(t, kubeBase+"/settings.yaml"), "store/access_key", "store/secret_key", "gateway/tokens.yaml"), nil, kubeBase+"/recipes")
	dockerfile := readText(t, deployRoot+"/Dockerfile")
	ports := map[string]string{"worker": c.Metrics.Listen, "gateway": c.Gateway.Listen}
	for _, name := range []string{"worker", "gateway"} {
		pod := dig(t, objects["Deployment millrace-"+name], "spec", "template", "spec")
		restricted(t, name, pod)
		box := dig(t, pod, "containers", 0)
		if got := fmt.Sprint(":", dig(t, box, "ports", 0, "containerPort")); got != ports[name] {
			t.Errorf("%s listens at %s, its container says %s", name, ports[name], got)
		}
		if !regexp.MustCompile(`(?m)^EXPOSE .*\b` + ports[name][1:] + `\b`).MatchString(dockerfile) {
			t.Errorf("the image does not say that it listens at %s", ports[name])
		}
		if uid := fmt.Sprint(dig(t, pod, "securityContext", "runAsUser")); !strings.Contains(dockerfile, "USER "+uid+":"+uid+"\n") {
			t.Errorf("%s runs as %s, the image as another", name, uid)
		}
		for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
			if dig(t, box, probe, "httpGet", "path") != path || dig(t, box, probe, "httpGet", "port") != dig(t, box, "ports", 0, "name") {
				t.Errorf("%s: %s asks %v", name, probe, dig(t, box, probe))
			}
		}
		grace := time.Duration(dig(t, pod, "terminationGracePeriodSeconds").(int)) * time.Second
		need := worker.DrainWithin + 15*time.Second
		if name == "gateway" {
			need = time.Duration(dig(t, box, "lifecycle", "preStop", "sleep", "seconds").(int))*time.Second + c.Gateway.Drain + c.Gateway.Finish + 5*time.Second
		}
		if grace < need {
			t.Errorf("%s is killed after %v, its drain may take %v", name, grace, need)
		}
	}
	if !strings.Contains(dockerfile, "MILLRACE_SCRATCH="+c.Scratch+" ") {
		t.Error("scratch is elsewhere in the image")
	}
	box := dig(t, objects["Deployment millrace-worker"], "spec", "template", "spec", "containers", 0)
	if got := dig(t, box, "resources", "requests", "cpu"); got != fmt.Sprint(c.Mill.Count) {
		t.Errorf("%d mills on %v cpus", c.Mill.Count, got)
	}
	if got, want := dig(t, box, "resources", "limits", "memory"), fmt.Sprint(c.Mill.Count*int(c.Mill.Memory>>30)+4, "Gi"); got != want {
		t.Errorf("the worker's memory is %v, its mills need %s", got, want)
	}
	trigger := dig(t, objects["ScaledObject millrace-worker"], "spec", "triggers", 0, "metadata").(tree)
	if trigger["topic"] != c.Queue.Topic || trigger["consumerGroup"] != c.Queue.Group || trigger["bootstrapServers"] != strings.Join(c.Queue.Brokers, ",") {
		t.Errorf("it is scaled by %v, and works on %+v", trigger, c.Queue)
	}
}

// restricted holds a pod against the Pod Security Standard of that name.
func restricted(t *testing.T, name string, pod any) {
	t.Helper()
	box := dig(t, pod, "containers", 0)
	for _, c := range []struct {
		got, want any
	}{
		{dig(t, pod, "securityContext", "runAsNonRoot"), true},
		{dig(t, pod, "securityContext", "seccompProfile", "type"), "RuntimeDefault"},
		{pod.(tree)["automountServiceAccountToken"], false},
		{box.(tree)["securityContext"].(tree)["allowPrivilegeEscalation"], false},
		{dig(t, box, "securityContext", "readOnlyRootFilesystem"), true},
		{dig(t, box, "securityContext", "capabilities", "drop"), []any{"ALL"}},
		{pod.(tree)["hostNetwork"], nil},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s has %v, want %v", name, c.got, c.want)
		}
	}
}

// Media are fetched from public addresses alone.
func TestEgress(t *testing.T) {
	for _, name := range []string{"worker", "gateway"} {
		var blocks []any
		for _, rule := range dig(t, baseObjects(t)["NetworkPolicy millrace-"+name], "spec", "egress").([]any) {
			for _, to := range rule.(tree)["to"].([]any) {
				if b := to.(tree)["ipBlock"]; b != nil {
					blocks = append(blocks, b)
				}
			}
		}
		allowed := func(a netip.Addr) bool {
			return slices.ContainsFunc(blocks, func(b any) bool {
				in := func(cidr any) bool { return netip.MustParsePrefix(cidr.(string)).Contains(a) }
				return in(dig(t, b, "cidr")) && !slices.ContainsFunc(dig(t, b, "except").([]any), in)
			})
		}
		for _, a := range []string{"0.0.0.0", "10.1.2.3", "127.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fd00::1", "fe80::1", "ff02::1", "64:ff9b::a00:1", "2002:a00:1::"} {
			if allowed(netip.MustParseAddr(a)) {
				t.Errorf("%s may reach %s", name, a)
			}
		}
		for _, a := range []string{"8.8.8.8", "172.32.0.1", "192.167.0.1", "2606:4700::1111"} {
			if !allowed(netip.MustParseAddr(a)) {
				t.Errorf("%s may not reach %s", name, a)
			}
		}
	}
}

// Alarms and the board name metrics that there are.
func TestBoardAndRules(t *testing.T) {
	rules := documents(t, "rules.yml", []byte(readText(t, deployRoot+"/compose/prometheus/rules.yml")))[0]
	spec := dig(t, baseObjects(t)["PrometheusRule millrace"], "spec", "groups")
	if !reflect.DeepEqual(dig(t, rules, "groups"), spec) {
		t.Error("Kubernetes has other alarms than the compose file")
	}
	board := readText(t, deployRoot+"/compose/grafana/millrace.json")
	var any tree
	if err := json.Unmarshal([]byte(board), &any); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, dir := range []string{"../worker", "../settings", "../gateway"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, m := range regexp.MustCompile(`"(millrace_[a-z_]+)"`).FindAllStringSubmatch(readText(t, f), -1) {
				made[m[1]] = true
			}
		}
	}
	used := regexp.MustCompile(`millrace_[a-z_]+`).FindAllString(board+readText(t, deployRoot+"/compose/prometheus/rules.yml"), -1)
	if len(used) < 50 {
		t.Fatalf("only %d names are used", len(used))
	}
	for _, name := range used {
		family := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			family = strings.TrimSuffix(family, suffix)
		}
		if !made[name] && !made[family] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// kubectl puts base and example together, if it is there.
func TestKustomize(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed")
	}
	for dir, image := range map[string]string{kubeBase: "millrace", deployRoot + "/kubernetes/example": "registry.example.org/millrace:1.0.0"} {
		out, err := exec.Command(kubectl, "kustomize", dir).Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", dir, err, stderrOf(err))
		}
		maps, deployments := map[string]bool{}, 0
		docs := documents(t, dir, out)
		for _, o := range docs {
			if o["kind"] == "ConfigMap" {
				maps[dig(t, o, "metadata", "name").(string)] = true
			}
		}
		for _, o := range docs {
			if o["kind"] != "Deployment" {
				continue
			}
			deployments++
			pod := dig(t, o, "spec", "template", "spec")
			restricted(t, dir, pod)
			if got := dig(t, pod, "containers", 0, "image"); got != image {
				t.Errorf("%s: the image is %v", dir, got)
			}
			for _, v := range dig(t, pod, "volumes").([]any) {
				if m := v.(tree)["configMap"]; m != nil && !maps[m.(tree)["name"].(string)] {
					t.Errorf("%s: %v is mounted, there are %v", dir, m, maps)
				}
			}
		}
		if deployments != 2 || len(maps) != 2 {
			t.Errorf("%s has %d deployments and %d maps", dir, deployments, len(maps))
		}
	}
}

func stderrOf(err error) []byte {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.Stderr
	}
	return nil
}
