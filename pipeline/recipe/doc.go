// Package recipe reads a dataset's recipe from YAML into [pipeline.Recipe], where
// presets are resolved and defaults filled in, and writes it back.
//
// The shortest recipe names a dataset and a model:
//
//	dataset: cats
//	tokens: siglip2-base-patch16-naflex
//
// [Schema] documents every field. Whatever is wrong is refused with the file, line
// and column, the field, the reason, and what to write instead. What a recipe does
// is fixed by its digest: see [Digest]. [Save] keeps it beside its samples and [Find]
// finds it by the digest that they name; [Diff] says what two recipes differ in, and
// whether arrays can.
package recipe
