package main

import (
	"fmt"
	"runtime"

	"github.com/millrace/millrace/codecs/video"
)

type versionCmd struct{}

func (versionCmd) Help() string { return "Example:  millrace version --json" }

func (versionCmd) Run(a *app) error {
	v := struct {
		Millrace string `json:"millrace"`
		FFmpeg   string `json:"ffmpeg"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{version, video.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if a.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintf(a.out, "millrace %s\nFFmpeg   %s\n%s %s\n", v.Millrace, v.FFmpeg, v.Go, v.Platform)
	return err
}
