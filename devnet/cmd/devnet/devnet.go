package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ethereum-optimism/optimism/op-core/forks"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Devnet is the running rollup.
type Devnet struct {
	Options
	children            *Children
	ports               *Ports
	l1                  RPC
	sequencer, verifier Node
}

// Node is an op-node with its Banyan.
type Node struct {
	name                 string
	execution, consensus RPC
	ws, engine           int
}

// Block is what the driver looks at in a block.
type Block struct {
	Number    hexutil.Uint64
	Hash      common.Hash
	Timestamp hexutil.Uint64
}

func block(ctx context.Context, rpc RPC, label string) (Block, error) {
	var found *Block
	if err := rpc.Call(ctx, &found, "eth_getBlockByNumber", label, false); err != nil {
		return Block{}, err
	}
	if found == nil {
		return Block{}, fmt.Errorf("no block %s yet", label)
	}
	return *found, nil
}

// bringUp starts everything, the L1 first.
func (d *Devnet) bringUp(ctx context.Context) error {
	l1Block, err := d.startL1(ctx)
	if err != nil {
		return fmt.Errorf("L1: %w", err)
	}
	genesis := Genesis{
		fork: forks.Name(d.fork), blockTime: d.blockTime, l1Time: uint64(l1Block.Timestamp),
		l1:   eth.BlockID{Hash: l1Block.Hash, Number: uint64(l1Block.Number)},
		wide: d.chain == "wide",
	}
	if !genesis.active(forks.Isthmus) || !forks.IsValid(genesis.fork) {
		return fmt.Errorf("--fork %s: write isthmus, jovian or karst", d.fork)
	}
	if d.chain != "mpt" && d.chain != "wide" {
		return fmt.Errorf("--chain %s: write mpt or wide", d.chain)
	}
	genesisHash, err := genesis.writeGenesis(d.run)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if err := d.writeSecret(); err != nil {
		return err
	}
	if genesis.wide {
		// Whatever the first Banyan says; the second one has to say the same.
		genesisHash = common.Hash{}
	}
	for _, node := range []*Node{&d.sequencer, &d.verifier} {
		node.name = "verifier"
		if node == &d.sequencer {
			node.name = "sequencer"
		}
		if genesisHash, err = d.startExecution(ctx, node, genesisHash); err != nil {
			return fmt.Errorf("%s: %w", node.name, err)
		}
	}
	if err := genesis.writeRollup(d.run, genesisHash); err != nil {
		return err
	}
	if err := d.startConsensus(ctx, &d.sequencer, "--sequencer.enabled", "--sequencer.l1-confs", "1"); err != nil {
		return err
	}
	if err := d.startConsensus(ctx, &d.verifier); err != nil {
		return err
	}
	return d.startBatcher()
}

// writeSecret makes the secret that op-node and Banyan share.
func (d *Devnet) writeSecret() error {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	return os.WriteFile(d.file("jwt.hex"), []byte(hex.EncodeToString(secret)), 0o600)
}

// startExecution starts a Banyan and gives the hash of its genesis block, which has to be wanted
// unless that is zero.
func (d *Devnet) startExecution(ctx context.Context, node *Node, wanted common.Hash) (_ common.Hash, err error) {
	for _, port := range []*int{&node.execution.port, &node.ws, &node.engine} {
		if *port, err = d.ports.Take(); err != nil {
			return wanted, err
		}
	}
	err = d.children.Start(node.name+"-banyan", d.banyan, "node",
		"--chain", d.file("genesis.json"), "--datadir", d.file(node.name),
		"--http", "--http.port", strconv.Itoa(node.execution.port), "--http.api", "all",
		"--ws", "--ws.port", strconv.Itoa(node.ws), "--ws.api", "all",
		"--authrpc.port", strconv.Itoa(node.engine), "--authrpc.jwtsecret", d.file("jwt.hex"),
		"--port", "0", "--discovery.port", "0", "--color", "never")
	if err != nil {
		return wanted, err
	}
	var genesis Block
	err = waitFor(ctx, time.Minute, "its RPC port", func() (bool, error) {
		genesis, err = block(ctx, node.execution, "0x0")
		return err == nil, err
	})
	if err == nil && wanted != (common.Hash{}) && genesis.Hash != wanted {
		err = fmt.Errorf("genesis hash is %s, it should be %s", genesis.Hash, wanted)
	}
	return genesis.Hash, err
}

func (d *Devnet) startConsensus(ctx context.Context, node *Node, more ...string) (err error) {
	if node.consensus.port, err = d.ports.Take(); err != nil {
		return err
	}
	name := node.name + "-op-node"
	args := []string{
		"--l1", d.l1.URL(), "--l1.rpckind", "standard", "--l1.beacon.ignore",
		"--l1.http-poll-interval", "500ms", "--l1.epoch-poll-interval", "3s",
		"--rollup.config", d.file("rollup.json"), "--rollup.l1-chain-config", d.file("l1-config.json"),
		"--l2", fmt.Sprintf("http://127.0.0.1:%d", node.engine), "--l2.jwt-secret", d.file("jwt.hex"),
		"--l2.enginekind", "reth", "--syncmode", "consensus-layer", "--p2p.disable",
		"--rpc.addr", "127.0.0.1", "--rpc.port", strconv.Itoa(node.consensus.port),
		"--finality.delay", "2", "--log.level", d.logLevel,
	}
	if err := d.children.Start(name, filepath.Join(d.bin, "op-node"), append(args, more...)...); err != nil {
		return err
	}
	return waitFor(ctx, time.Minute, name, func() (bool, error) {
		err := node.consensus.Call(ctx, nil, "optimism_rollupConfig")
		return err == nil, err
	})
}

func (d *Devnet) startBatcher() error {
	port, err := d.ports.Take()
	if err != nil {
		return err
	}
	return d.children.Start("op-batcher", filepath.Join(d.bin, "op-batcher"),
		"--l1-eth-rpc", d.l1.URL(), "--l2-eth-rpc", d.sequencer.execution.URL(),
		"--rollup-rpc", d.sequencer.consensus.URL(), "--private-key", string(batcher),
		"--data-availability-type", "calldata", "--max-channel-duration", "1", "--poll-interval", "1s",
		"--num-confirmations", "1", "--safe-abort-nonce-too-low-count", "3",
		"--resubmission-timeout", "20s", "--txmgr.receipt-query-interval", "500ms",
		"--rpc.addr", "127.0.0.1", "--rpc.port", strconv.Itoa(port), "--log.level", d.logLevel)
}

func (d *Devnet) file(name string) string { return filepath.Join(d.run, name) }

func (d *Devnet) printEndpoints() {
	fmt.Printf("\n%-20s %-28s %s\n", "", "HTTP", "WebSocket")
	fmt.Printf("%-20s %-28s\n", fmt.Sprintf("L1 (chain %d)", l1ChainID), d.l1.URL())
	for _, node := range []Node{d.sequencer, d.verifier} {
		fmt.Printf("%-20s %-28s ws://127.0.0.1:%d\n", "Banyan "+node.name, node.execution.URL(), node.ws)
		fmt.Printf("%-20s %-28s\n", "op-node "+node.name, node.consensus.URL())
	}
	fmt.Printf("funded key: 0x%s (%s), L2 chain id %d\n\n", user, user.address(), l2ChainID)
}

// watch prints the heads until the context ends.
func (d *Devnet) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return childFailure(ctx)
		case <-time.After(5 * time.Second):
			fmt.Println(d.heads(ctx))
		}
	}
}

// heads is one line about both nodes.
func (d *Devnet) heads(ctx context.Context) string {
	line := time.Now().Format(time.TimeOnly)
	for _, node := range []Node{d.sequencer, d.verifier} {
		line += fmt.Sprintf("   %s:", node.name)
		for _, label := range []string{"latest", "safe", "finalized"} {
			number := "-"
			if found, err := block(ctx, node.execution, label); err == nil {
				number = strconv.FormatUint(uint64(found.Number), 10)
			}
			line += fmt.Sprintf(" %s %s", label, number)
		}
	}
	return line
}
