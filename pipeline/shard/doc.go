// Package shard writes samples into shard files, and reads them back.
//
// A [Writer] fills one shard on a local spool file. A job that fails half-way is
// taken back with [Writer.Mark] and [Writer.Rollback]. It ends in exactly one of
// [Writer.Seal], which reads the file back before it vouches for it, and
// [Writer.Abort]. [Open] reads a shard of any format, under limits.
//
// A format is one implementation of layout. What they share is here, so that a job's
// samples can go to several outputs in one pass, one Writer each.
package shard
