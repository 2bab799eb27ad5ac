// Package store keeps objects: in an S3 bucket, in a directory, or in memory.
//
// All three answer one interface, [Store], under one set of promises, and are held
// to them by one suite (package storetest):
//
//   - An object appears whole or not at all. No reader sees half of one.
//   - After Put or Create returned nil, every Get, Stat and List sees the object.
//   - Of any number of concurrent Creates of one key, at most one returns nil.
//   - A body that does not have the size or the digest it was announced with is
//     refused; a download that ends early is an error, never a short object.
//
// Implementations try each request once. Retrying is [Retry]'s business, faults on
// purpose are [Faulty]'s, and figures are [Metered]'s; each wraps any Store.
package store
