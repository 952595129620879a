package main

import (
	"context"
	"crypto/ecdsa"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Account is one of the well-known development accounts (mnemonic "test test ... junk").
type Account string

const (
	batcher      Account = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
	user         Account = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
	unsafeSigner Account = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"
	l1User       Account = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"
)

var developmentAccounts = []Account{batcher, user, unsafeSigner, l1User}

func (a Account) key() *ecdsa.PrivateKey {
	key, err := crypto.HexToECDSA(string(a))
	if err != nil {
		panic(err) // a constant above is wrong
	}
	return key
}

func (a Account) address() common.Address { return crypto.PubkeyToAddress(a.key().PublicKey) }

// transfer signs a transfer of one wei and sends it.
func (a Account) transfer(ctx context.Context, rpc RPC, to common.Address) (common.Hash, error) {
	var nonce hexutil.Uint64
	if err := rpc.Call(ctx, &nonce, "eth_getTransactionCount", a.address(), "pending"); err != nil {
		return common.Hash{}, err
	}
	chainID := big.NewInt(l2ChainID)
	tx, err := types.SignNewTx(a.key(), types.LatestSignerForChainID(chainID), &types.DynamicFeeTx{
		ChainID: chainID, Nonce: uint64(nonce), Gas: 21_000, To: &to, Value: big.NewInt(1),
		GasTipCap: big.NewInt(1_000_000), GasFeeCap: big.NewInt(20_000_000_000),
	})
	if err != nil {
		return common.Hash{}, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return common.Hash{}, err
	}
	return tx.Hash(), rpc.Call(ctx, nil, "eth_sendRawTransaction", hexutil.Encode(raw))
}
