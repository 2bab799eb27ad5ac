package main

import (
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/services/settings"
)

// millCmd is a mill's life. It knows nothing of the configuration: what it needs comes
// with each job.
type millCmd struct{}

func (millCmd) Run(*app) error {
	conn, err := mill.Inherited()
	if err != nil {
		return usageError{err}
	}
	return mill.Serve(conn, settings.Config{Version: version}.NewLine)
}
