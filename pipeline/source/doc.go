// Package source fetches one medium, under limits, to a local read-only file: inline
// bytes, plain paths and file:// URIs, http:// and https:// URLs, and s3:// objects.
//
// Only the parent process fetches. What it hands on is a file of known size and
// digest, so a mill needs neither network nor credentials. A fault of the medium is a
// [codecs.Error] of stage fetch; any other error (a full disk, missing credentials, a
// cancelled context) is not the medium's doing, and the medium should be tried again
// when the cause is gone.
//
// Addresses that only a machine inside the network may reach are refused on the
// resolved address of every connection, so that neither a redirect nor a name that
// changes its address leads around the check.
package source
