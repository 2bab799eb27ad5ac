package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

func main() {
	if topic := os.Getenv(sinkEnv); topic != "" {
		if err := runSink(topic); err != nil {
			fmt.Fprintln(os.Stderr, "sink:", err)
			os.Exit(1)
		}
		return
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics do not ask for the proxy's logger
	os.Exit(command(os.Args[1:]))
}

// command runs what the flags ask for and gives the exit code.
func command(args []string) int {
	o, err := parse(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	began := time.Now()
	out, err := run(ctx, o, func(format string, args ...any) {
		fmt.Printf("%7.1fs  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	})
	if o.report != "" {
		err = errors.Join(err, out.write(o.report))
	}
	if err == nil {
		err = out.verdict()
	}
	if err != nil {
		fmt.Println("torture:", err)
		fmt.Println(out.line())
		return 1
	}
	fmt.Println(out.line())
	return 0
}
