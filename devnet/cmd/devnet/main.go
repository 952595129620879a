// Command devnet brings up a rollup on one machine and shows that it works:
//
//	anvil (L1) <-- op-batcher <-- sequencer's Banyan
//	   ^  ^                            ^ Engine API
//	   |  +-- op-node (sequencer) -----+
//	   +----- op-node (verifier) ----> verifier's Banyan
//
// The verifier has no peers: it derives the chain from L1 alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Options are the flags.
type Options struct {
	bin, banyan, run string
	chain            string
	fork             string
	blockTime        uint64
	l1BlockTime      uint64
	basePort         int
	logLevel         string
	once             bool
	patience         time.Duration
}

func parseOptions() Options {
	var o Options
	flag.StringVar(&o.bin, "bin", "bin", "directory with op-node, op-batcher and anvil")
	flag.StringVar(&o.banyan, "banyan", "banyan", "path of the execution client")
	flag.StringVar(&o.run, "run", "", "directory for data and logs (default: a new one in the temporary directory)")
	flag.StringVar(&o.chain, "chain", "mpt", "state commitment of the L2: mpt, or Banyan's own, wide")
	flag.StringVar(&o.fork, "fork", "jovian", "newest fork active at genesis: isthmus, jovian or karst")
	flag.Uint64Var(&o.blockTime, "block-time", 1, "seconds per L2 block")
	flag.Uint64Var(&o.l1BlockTime, "l1-block-time", 3, "seconds per L1 block; at least twice the L2 block time")
	flag.IntVar(&o.basePort, "base-port", 9545, "first of ten ports: L1, the two Banyans (http, ws, engine), the op-nodes, op-batcher")
	flag.StringVar(&o.logLevel, "log-level", "info", "log level of op-node and op-batcher")
	flag.BoolVar(&o.once, "once", false, "stop after the checks; the exit status says whether all passed")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "longest wait of a single check")
	flag.Parse()
	return o
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, parseOptions()); err != nil {
		fmt.Fprintln(os.Stderr, "devnet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, options Options) error {
	if options.run == "" {
		dir, err := os.MkdirTemp("", "banyan-devnet-")
		if err != nil {
			return err
		}
		options.run = dir
	}
	// The children run in another directory, so no path may be relative.
	for _, path := range []*string{&options.run, &options.bin, &options.banyan} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	dir := options.run
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fmt.Println("data and logs:", dir)

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	devnet := &Devnet{Options: options, children: NewChildren(dir, stop), ports: NewPorts(options.basePort)}
	defer devnet.children.StopAll()
	if err := devnet.bringUp(ctx); err != nil {
		return failure(ctx, err)
	}
	devnet.printEndpoints()
	results := devnet.check(ctx)
	if cause := childFailure(ctx); cause != nil {
		results = append(results, Result{"all programs run to the end", false, cause.Error()})
	}
	if failed := printTable(results); failed > 0 {
		return fmt.Errorf("%d of %d checks failed; logs are in %s", failed, len(results), dir)
	}
	if options.once {
		return nil
	}
	fmt.Println("The chain goes on; Ctrl-C stops it.")
	return devnet.watch(ctx)
}

// failure prefers the death of a child over what it led to.
func failure(ctx context.Context, err error) error {
	if cause := childFailure(ctx); cause != nil {
		return cause
	}
	return err
}

// childFailure is the reason why a child ended by itself, if one did.
func childFailure(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && cause != context.Canceled {
		return cause
	}
	return nil
}
