package main

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Result is the outcome of one check.
type Result struct {
	name   string
	passed bool
	detail string
}

// check runs all checks; a failed one does not stop the others.
func (d *Devnet) check(ctx context.Context) []Result {
	checks := []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"the sequencer builds blocks", d.checkBlocks},
		{"a transaction is included", d.checkTransaction},
		{"a deposit on L1 is minted on L2", d.checkDeposit},
		{"the safe head advances", d.checkLabel("safe")},
		{"the finalized head advances", d.checkLabel("finalized")},
		{"the verifier derives the same chain from L1", d.checkVerifier},
		{"both nodes give the same output root", d.checkOutputRoots},
	}
	var results []Result
	for _, check := range checks {
		started := time.Now()
		detail, err := check.run(ctx)
		if err != nil {
			detail = err.Error()
		}
		results = append(results, Result{check.name, err == nil, detail})
		fmt.Printf("%s [%4.1fs] %s: %s\n", verdict(err == nil), time.Since(started).Seconds(), check.name, detail)
	}
	return results
}

func verdict(passed bool) string {
	if passed {
		return "PASS"
	}
	return "FAIL"
}

// printTable prints the results again, all together, and gives the number of failures.
func printTable(results []Result) int {
	failed := 0
	fmt.Println()
	for _, result := range results {
		if !result.passed {
			failed++
		}
		fmt.Printf("| %s | %-45s | %s\n", verdict(result.passed), result.name, result.detail)
	}
	fmt.Printf("%d passed, %d failed\n\n", len(results)-failed, failed)
	return failed
}

func (d *Devnet) checkBlocks(ctx context.Context) (string, error) {
	var head Block
	err := waitFor(ctx, d.patience, "five blocks", func() (ok bool, err error) {
		head, err = block(ctx, d.sequencer.execution, "latest")
		return head.Number >= 5, err
	})
	return fmt.Sprintf("block %d", head.Number), err
}

func (d *Devnet) checkTransaction(ctx context.Context) (string, error) {
	hash, err := user.transfer(ctx, d.sequencer.execution, common.HexToAddress("0xc0ffee"))
	if err != nil {
		return "", err
	}
	var receipt *struct{ BlockNumber, Status hexutil.Uint64 }
	err = waitFor(ctx, d.patience, "the receipt of "+hash.String(), func() (bool, error) {
		err := d.sequencer.execution.Call(ctx, &receipt, "eth_getTransactionReceipt", hash)
		return receipt != nil, err
	})
	if err == nil && receipt.Status != 1 {
		err = fmt.Errorf("%s failed in block %d", hash, receipt.BlockNumber)
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s in block %d", hash, receipt.BlockNumber), nil
}

func (d *Devnet) checkDeposit(ctx context.Context) (string, error) {
	target, amount := common.HexToAddress("0xde905170"), big.NewInt(1_000_000_000_000_000_000)
	if err := d.deposit(ctx, target, amount); err != nil {
		return "", err
	}
	var balance hexutil.Big
	err := waitFor(ctx, d.patience, "the deposit", func() (bool, error) {
		err := d.sequencer.execution.Call(ctx, &balance, "eth_getBalance", target, "latest")
		return balance.ToInt().Sign() > 0, err
	})
	if err == nil && balance.ToInt().Cmp(amount) != 0 {
		err = fmt.Errorf("balance is %s instead of %s wei", balance.ToInt(), amount)
	}
	return "1 ether", err
}

func (d *Devnet) checkLabel(label string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		var found Block
		err := waitFor(ctx, d.patience, "a "+label+" block", func() (ok bool, err error) {
			found, err = block(ctx, d.sequencer.execution, label)
			return found.Number > 0, err
		})
		return fmt.Sprintf("block %d", found.Number), err
	}
}

// checkVerifier waits until the verifier has the sequencer's present safe head, then compares every
// block up to it.
func (d *Devnet) checkVerifier(ctx context.Context) (string, error) {
	target, err := block(ctx, d.sequencer.execution, "safe")
	if err != nil {
		return "", err
	}
	err = waitFor(ctx, d.patience, fmt.Sprintf("the verifier's block %d", target.Number), func() (bool, error) {
		head, err := block(ctx, d.verifier.execution, "safe")
		return head.Number >= target.Number, err
	})
	if err != nil {
		return "", err
	}
	for number := hexutil.Uint64(0); number <= target.Number; number++ {
		ours, err := block(ctx, d.sequencer.execution, number.String())
		if err != nil {
			return "", err
		}
		theirs, err := block(ctx, d.verifier.execution, number.String())
		if err != nil {
			return "", err
		}
		if ours.Hash != theirs.Hash {
			return "", fmt.Errorf("block %d differs: %s and %s", number, ours.Hash, theirs.Hash)
		}
	}
	return fmt.Sprintf("blocks 0 to %d are equal", target.Number), nil
}

func (d *Devnet) checkOutputRoots(ctx context.Context) (string, error) {
	safe, err := block(ctx, d.verifier.execution, "safe")
	if err != nil {
		return "", err
	}
	var ours, theirs struct{ OutputRoot common.Hash }
	if err := d.sequencer.consensus.Call(ctx, &ours, "optimism_outputAtBlock", safe.Number); err != nil {
		return "", err
	}
	if err := d.verifier.consensus.Call(ctx, &theirs, "optimism_outputAtBlock", safe.Number); err != nil {
		return "", err
	}
	if ours != theirs {
		return "", fmt.Errorf("block %d: %s and %s", safe.Number, ours.OutputRoot, theirs.OutputRoot)
	}
	return fmt.Sprintf("block %d: %s", safe.Number, ours.OutputRoot), nil
}
