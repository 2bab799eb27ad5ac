package claim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline/store"
)

// Bounds of a record.
const (
	// MaxInline is how many bytes of an object travel in a record. The ledger's own
	// records always do (they have at most 1 MiB); of a larger object the record names a
	// copy in the object store.
	MaxInline = 1 << 20
	// MaxObject bounds an object that is created.
	MaxObject = 64 << 20
	maxToken  = 64
)

// Op is what a record is for.
type Op string

// The operations.
const (
	Create Op = "create" // Data, or what Copy names, is to stand at Key
	Delete Op = "delete" // what has SHA256 at Key goes; the key is not created again
)

// Record is one entry of the claim log. Once read it is not changed.
type Record struct {
	Op    Op
	Key   string
	Token string // of the one call that appended it
	// SHA256 is that of the object, hex.
	SHA256 string
	// Data are the object's bytes, unless Copy is set.
	Data []byte
	// Copy is the key of an object with the bytes.
	Copy string
}

// Entry is a record at its place in the log.
type Entry struct {
	Record
	Offset int64
	// Next is the offset that follows.
	Next int64
	// Invalid says why what stands there is no record; everybody passes it over.
	Invalid error
}

// Validate refuses what no writer appends. It depends on the record alone, so that all
// who read the log agree.
func (r *Record) Validate() error {
	switch {
	case r.Op != Create && r.Op != Delete:
		return fmt.Errorf("its operation is %q", r.Op)
	case r.Token == "" || len(r.Token) > maxToken:
		return fmt.Errorf("its token has %d bytes", len(r.Token))
	case len(r.Data) > MaxInline:
		return fmt.Errorf("it has %d bytes of data; %d are allowed", len(r.Data), MaxInline)
	case len(r.Data) > 0 && (r.Copy != "" || r.Op != Create):
		return errors.New("it has data and should have none")
	}
	if sum, err := hex.DecodeString(r.SHA256); err != nil || len(sum) != sha256.Size {
		return errors.New("its digest is no SHA-256")
	}
	if err := store.CheckKey(r.Key); err != nil {
		return err
	}
	switch {
	case r.Op == Delete && r.Copy != "":
		return errors.New("it deletes and names a copy")
	case r.Copy != "" && r.Copy != copyKey(r.SHA256):
		return fmt.Errorf("the copy of its data is said to be at %q", r.Copy)
	case r.Op == Create && r.Copy == "" && r.SHA256 != digest(r.Data):
		return errors.New("its data are not those of its digest")
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// copyKey names the copy of an object that is too large for a record.
func copyKey(sum string) string { return dir + "copy/" + sum }
