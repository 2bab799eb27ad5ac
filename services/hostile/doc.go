// Package hostile makes malformed media: from valid ones by a seed ([Corpus]), and by
// hand, where a few bytes claim gigabytes ([Bombs]). It is for tests only, which send them
// through real, confined mills, and is never linked into the program.
package hostile
