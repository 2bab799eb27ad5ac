package gateway

import "github.com/millrace/millrace/codecs"

// Codes of refusals that are the gateway's own. Like those of jobs and media they never
// change their meaning; a job that is malformed has its code msg.* here as in the
// quarantine.
const (
	codeAuthMissing     codecs.Code = "auth.missing"     // no credential
	codeAuthInvalid     codecs.Code = "auth.invalid"     // a wrong or expired one
	codeAuthUnavailable codecs.Code = "auth.unavailable" // the issuer does not answer
	codeScope           codecs.Code = "auth.scope"       // a scope is missing
	codeTenant          codecs.Code = "auth.tenant"      // the caller's tenant is not listed
	codeDataset         codecs.Code = "auth.dataset"     // not the tenant's dataset

	codeRequest     codecs.Code = "request.invalid"      // headers, query or form that can not be read
	codeTooLarge    codecs.Code = "request.too-large"    // a body over a limit
	codeTooSlow     codecs.Code = "request.too-slow"     // a body that did not come in time, or broke off
	codeMethod      codecs.Code = "request.method"       // no such method here
	codeNotFound    codecs.Code = "request.not-found"    // no such path, job or upload
	codeRate        codecs.Code = "rate.limited"         // more requests than the tenant may make
	codeBusy        codecs.Code = "rate.busy"            // more requests at once than there may be
	codeQuota       codecs.Code = "rate.quota"           // more bytes than the tenant may send in a day
	codeKeyReused   codecs.Code = "idempotency.mismatch" // a key with another body
	codeKeyUnderway codecs.Code = "idempotency.underway" // its first request has not ended
	codeQueue       codecs.Code = "transient.queue"      // the topic did not acknowledge
	codeStore       codecs.Code = "transient.store"      // the store did not answer
	codeDraining    codecs.Code = "transient.draining"   // the gateway is about to end
	codeUpload      codecs.Code = "upload.refused"       // the tus protocol's rules
	codeDamaged     codecs.Code = "upload.damaged"       // what is kept of it does not fit together
	codeNewer       codecs.Code = "transient.newer"      // a newer gateway must go on with it
	codeDigest      codecs.Code = "upload.digest"        // the bytes are not those that were announced
	codeInternal    codecs.Code = "internal"             // a bug, or a fault that nobody thought of
)
