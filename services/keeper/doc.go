// Package keeper looks after a store that others write: it says what became of a message
// or where a sample came from, and clears away what writers that died have left.
package keeper
