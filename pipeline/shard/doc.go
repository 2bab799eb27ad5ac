// Package shard writes samples into shard files, and reads them back.
//
// A [Writer] fills one shard on a local spool file. It ends in exactly one of
// [Writer.Seal], which reads the file back before it vouches for it, and
// [Writer.Abort]. [Open] reads a shard of any format, under limits.
//
// A format is one implementation of layout. What they share is here, so that a job's
// samples can go to several outputs in one pass, one Writer each. Formats with columns
// want alike samples in a shard: [Shape] tells which are.
//
// litData's format is not among them (read at commit 8805bae0, August 2026): neither its
// chunks nor its index say a version, while serializers were added and changed in each
// of the months before; the samples' structure is stored as the text of torch's private
// pytree, and a dtype as a place in a table of the library; and one index has one
// structure for a whole dataset, fixed by its first sample, so that samples with and
// without a caption could not be one dataset.
package shard
