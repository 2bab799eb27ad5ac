package settings

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins the name of every environment variable that is a setting:
// kafka.brokers is MILLRACE_KAFKA_BROKERS.
const EnvPrefix = "MILLRACE_"

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Load reads a configuration: defaults, then the file (if path is not empty), then the
// environment. Flags come after that, on the returned value; then Validate.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	if path != "" {
		b, err := readFile(path)
		if err != nil {
			return c, err
		}
		d := yaml.NewDecoder(bytes.NewReader(b))
		d.KnownFields(true) // a name that is no setting is a typing error
		if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
			return c, fmt.Errorf("configuration %s: %w", path, err)
		}
		for i, r := range c.Recipes { // those of the environment and of flags are relative to where one is
			if !filepath.IsAbs(r) {
				c.Recipes[i] = filepath.Join(filepath.Dir(path), r)
			}
		}
	}
	return c, c.overlay(environ)
}

func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("configuration %s has %d bytes; %d are allowed", path, st.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// overlay lets the environment win over the file. A name that is no setting is refused:
// it is a typing error that would be found too late.
func (c *Config) overlay(environ []string) error {
	known := map[string]reflect.Value{}
	leaves(reflect.ValueOf(c).Elem(), "", known)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		key, ours := strings.CutPrefix(name, EnvPrefix)
		if !ours || slices.Contains(notSettings, name) {
			continue
		}
		field, ok := known[key]
		if !ok {
			return fmt.Errorf("environment: %s is no setting; see `millrace doctor --settings` for all names", name)
		}
		if err := set(field, value); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	return nil
}

// notSettings are variables of ours with another meaning.
var notSettings = []string{EnvPrefix + "CONFIG", EnvPrefix + "STATE", EnvPrefix + "VERSITYGW", EnvPrefix + "KAFKA_DIR", EnvPrefix + "READERS"}

// Names lists the environment names of all settings, sorted.
func Names() []string {
	c := Default()
	known := map[string]reflect.Value{}
	leaves(reflect.ValueOf(&c).Elem(), "", known)
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, EnvPrefix+k)
	}
	slices.Sort(names)
	return names
}

// leaves finds the settings below v by their YAML names.
func leaves(v reflect.Value, prefix string, out map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		inner := prefix
		if opts != "inline" {
			if name == "" {
				name = f.Name
			}
			inner = prefix + strings.ToUpper(name) + "_"
		}
		field := v.Field(i)
		_, text := field.Addr().Interface().(encoding.TextUnmarshaler)
		if field.Kind() == reflect.Struct && !text {
			leaves(field, inner, out)
			continue
		}
		out[strings.TrimSuffix(inner, "_")] = field
	}
}

// set reads one value as YAML would; a list may also be written with commas.
func set(field reflect.Value, value string) error {
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(value))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(value)
		return nil
	case reflect.Slice:
		if field.Type().Elem().Kind() == reflect.String && !strings.HasPrefix(value, "[") {
			var list []string
			for _, s := range strings.Split(value, ",") {
				if s = strings.TrimSpace(s); s != "" {
					list = append(list, s)
				}
			}
			field.Set(reflect.ValueOf(list).Convert(field.Type()))
			return nil
		}
	}
	return yaml.Unmarshal([]byte(value), field.Addr().Interface())
}
