package main

import (
	"context"
	"fmt"
	"math/big"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

var (
	// depositEvent is TransactionDeposited(address,address,uint256,bytes), which op-node looks for.
	depositEvent = crypto.Keccak256Hash([]byte("TransactionDeposited(address,address,uint256,bytes)"))
	// unsafeSignerSlot is where op-node reads the sequencer's signer in the SystemConfig contract.
	unsafeSignerSlot = common.HexToHash("0x65a7ed542fb37fe237fdfbdd70b31598523fe5b32879e307bae27a0bd9581c08")
)

// The deposit contract is a stand-in that emits the log that its calldata describes: four topics,
// then the data. In assembly: copy calldata[128..] to memory, push the topics, LOG4.
const depositContractCode = "0x608036038060805f37606035604035602035" + "5f35845fa400"

// startL1 starts anvil with the stand-in contracts, and gives the block after which the rollup begins.
func (d *Devnet) startL1(ctx context.Context) (Block, error) {
	port, err := d.ports.Take()
	if err != nil {
		return Block{}, err
	}
	d.l1 = RPC{port}
	err = d.children.Start("l1", filepath.Join(d.bin, "anvil"), "--host", "127.0.0.1",
		"--port", strconv.Itoa(port), "--chain-id", strconv.Itoa(l1ChainID),
		"--block-time", strconv.FormatUint(d.l1BlockTime, 10),
		"--hardfork", "prague", "--slots-in-an-epoch", "2")
	if err != nil {
		return Block{}, err
	}
	err = waitFor(ctx, 30*time.Second, "its RPC port", func() (bool, error) {
		err := d.l1.Call(ctx, nil, "eth_chainId")
		return err == nil, err
	})
	if err != nil {
		return Block{}, err
	}
	if err := d.l1.Call(ctx, nil, "anvil_setCode", depositContract, depositContractCode); err != nil {
		return Block{}, err
	}
	signer := common.BytesToHash(unsafeSigner.address().Bytes())
	err = d.l1.Call(ctx, nil, "anvil_setStorageAt", systemConfig, unsafeSignerSlot, signer)
	if err != nil {
		return Block{}, err
	}
	var head Block
	err = waitFor(ctx, time.Minute, "two blocks", func() (bool, error) {
		head, err = block(ctx, d.l1, "latest")
		return head.Number >= 2, err
	})
	return head, err
}

// deposit sends a deposit that mints amount on L2 and gives it to target.
func (d *Devnet) deposit(ctx context.Context, target common.Address, amount *big.Int) error {
	word := func(value *big.Int) []byte { return common.BigToHash(value).Bytes() }
	// opaqueData: mint, value, gas limit (8 bytes), is-creation (1 byte); no calldata.
	opaque := append(append(word(amount), word(amount)...), 0, 0, 0, 0, 0, 1, 0x86, 0xa0, 0)
	data := depositEvent.Bytes()
	data = append(data, common.BytesToHash(l1User.address().Bytes()).Bytes()...)
	data = append(data, common.BytesToHash(target.Bytes()).Bytes()...)
	data = append(data, word(common.Big0)...) // version 0
	data = append(data, word(big.NewInt(32))...)
	data = append(data, word(big.NewInt(int64(len(opaque))))...)
	data = append(data, common.RightPadBytes(opaque, (len(opaque)+31)/32*32)...)
	transaction := map[string]any{
		"from": l1User.address(), "to": depositContract, "gas": hexutil.Uint64(200_000),
		"data": hexutil.Bytes(data),
	}
	if err := d.l1.Call(ctx, nil, "eth_sendTransaction", transaction); err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	return nil
}
