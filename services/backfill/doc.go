// Package backfill turns the SRC arguments of the command line into a stream of jobs.
//
// A SRC is one of:
//
//   - a file: of any extension, since its bytes decide what it is; but a list or an
//     archive by the extensions below
//   - a folder: its media and archives, by extension, and those of the folders below
//     it, in the order of their names; hidden files and folders are passed over, links
//     to folders not followed
//   - a glob, with *, ?, [a-z] and ** for any number of folders; with an extension in
//     its last part it takes all that it matches, without one it takes what a folder
//     would
//   - s3://bucket/key, or s3://bucket/prefix for all media and archives whose keys begin
//     so, in the order of the keys; it may be a glob
//   - http:// or https:// of one medium, list or archive
//   - a list of URIs: .txt (one a line; # begins a comment), .csv, .tsv, .jsonl, .parquet
//     with a column of URIs; a text column becomes the job's text, all other columns its
//     meta. Relative paths count from the list's own folder
//   - an archive: .tar, .tar.gz (.tgz), .tar.zst, or .zip. In a tar, neighbours whose
//     names are equal up to the first dot are one job, as WebDataset has it: media,
//     .txt or .caption (text), .json and .cls (meta). In a zip each medium is a job
//
// Media are: mp4 m4v mov mkv webm avi mpg mpeg ts mts m2ts flv 3gp wmv ogv, and jpg jpeg
// jpe jfif png apng webp gif avif bmp tif tiff.
//
// # Ids
//
// A job's id depends on what the job is and never on how far a listing got, so that a
// second run over the same sources gives the same ids, and a changed source new ones:
//
//   - a local file: its absolute file:// URI, size and time of change
//   - an object: its s3:// URI and ETag
//   - a row of a list: its URI (for a local file with size and time), text and meta
//   - a member of an archive: the archive's URI and version, and the first member's
//     name, size and place in the archive. The version is size and time of change of a
//     local archive, the ETag of an object, the digest of what HTTP gave
//   - a bad row, or an archive that can not be read to its end: the list's or archive's
//     URI and version, and the row's number
//
// All of them include the dataset. Two equal rows have one id: they are the same job.
package backfill
