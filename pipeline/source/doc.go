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
//
// An outage is waited for and quarantines nothing. When a medium's tries are used up,
// its origin (the host that was asked last, or the S3 endpoint) is asked for something
// that says nothing about the medium. If it answers below 500, or has done so since the
// first try, the failure is the medium's: transient.source. If not, the origin is down,
// and these are waited for: the S3 endpoint; hosts that source.http.depend_on names; and
// any host while more than half of the hosts asked in the last ten minutes are down,
// since it is then the network, or the one host that all media are on. A host that is
// dead alone is a property of its media: source.unreachable, or transient.source where
// it answers with errors. While an origin is known to be down its media wait without
// trying. Waiting ends with the context, with the origin's return, when the host turns
// out to be dead alone, or after source.outage_patience, with an error that stops the
// stream. A name that does not exist is source.gone, always.
package source
