// Package inspect looks into shards, datasets and samples for people: tables of what
// is in them ([Shard], [Dataset], [Sample]) and a contact sheet of pictures with their
// patch grids ([WriteSheet]).
//
// It reads names, headers and descriptions, and the content of fields only where it
// shows them, in bounded memory whatever the dataset's size. It takes shards through
// [Source], so it knows neither stores nor ledgers.
package inspect
