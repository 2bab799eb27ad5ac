package keeper

import (
	"encoding/json"
	"strings"
)

// sampleInfo is what is asked of a sample's, or a member's, description.
type sampleInfo struct {
	Key        string `json:"key"`
	Dataset    string `json:"dataset"`
	ID         string `json:"id"`
	Provenance struct {
		Licence string `json:"licence"`
	} `json:"provenance"`
}

func parseInfo(description []byte) (*sampleInfo, error) {
	var i sampleInfo
	if err := json.Unmarshal(description, &i); err != nil {
		return nil, err
	}
	return &i, nil
}

// hashOf is the part of a sample's key that is its job's.
func hashOf(key string) string {
	hash, _, _ := strings.Cut(key, "-")
	return hash
}
