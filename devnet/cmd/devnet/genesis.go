package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"github.com/ethereum-optimism/optimism/op-core/forks"
	"github.com/ethereum-optimism/optimism/op-core/nuts/state"
	opparams "github.com/ethereum-optimism/optimism/op-core/params"
	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

const (
	l1ChainID = 900
	l2ChainID = 901
	gasLimit  = 60_000_000
	wideLag   = 4

	eip1559Denominator       = 50
	eip1559DenominatorCanyon = 250
	eip1559Elasticity        = 6
)

var (
	batchInbox      = common.HexToAddress("0xff00000000000000000000000000000000000901")
	depositContract = common.HexToAddress("0xde00000000000000000000000000000000000901")
	systemConfig    = common.HexToAddress("0x5c00000000000000000000000000000000000901")
)

// Genesis describes the rollup that begins after one L1 block.
type Genesis struct {
	fork      forks.Name
	l1        eth.BlockID
	l1Time    uint64
	blockTime uint64
	// wide asks for Banyan's own state commitment, which op-geth's code does not know.
	wide bool
}

// writeGenesis puts genesis.json into dir, and gives the hash of the L2 genesis block as op-geth's
// code computes it. With wide commitment the block has another one.
func (g Genesis) writeGenesis(dir string) (common.Hash, error) {
	genesis, err := g.genesis()
	if err != nil {
		return common.Hash{}, err
	}
	data, err := json.Marshal(genesis)
	if err != nil {
		return common.Hash{}, err
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		return common.Hash{}, err
	}
	if g.wide {
		file["config"].(map[string]any)["commitment"] = map[string]any{"kind": "wide", "lag": wideLag}
	}
	return genesis.ToBlock().Hash(), writeJSON(dir, "genesis.json", file)
}

// writeRollup puts rollup.json and l1-config.json into dir.
func (g Genesis) writeRollup(dir string, l2Genesis common.Hash) error {
	rollupConfig := g.rollupConfig(l2Genesis)
	if err := rollupConfig.Check(); err != nil {
		return fmt.Errorf("rollup configuration: %w", err)
	}
	if err := writeJSON(dir, "rollup.json", rollupConfig); err != nil {
		return err
	}
	return writeJSON(dir, "l1-config.json", l1Config())
}

func writeJSON(dir, name string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o644)
}

// active tells whether a fork is active at genesis; those that are not are never activated.
func (g Genesis) active(name forks.Name) bool {
	for _, fork := range forks.All {
		if fork == name {
			return true
		}
		if fork == g.fork {
			return false
		}
	}
	return false
}

func (g Genesis) activation(name forks.Name) *uint64 {
	if g.active(name) {
		return new(uint64)
	}
	return nil
}

func (g Genesis) chainConfig() *params.ChainConfig {
	zero, canyonDenominator := big.NewInt(0), uint64(eip1559DenominatorCanyon)
	config := &params.ChainConfig{
		ChainID:        big.NewInt(l2ChainID),
		HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero,
		ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero,
		IstanbulBlock: zero, MuirGlacierBlock: zero, BerlinBlock: zero, LondonBlock: zero,
		ArrowGlacierBlock: zero, GrayGlacierBlock: zero, MergeNetsplitBlock: zero,
		TerminalTotalDifficulty: zero,
		BedrockBlock:            zero,
		RegolithTime:            g.activation(forks.Regolith),
		CanyonTime:              g.activation(forks.Canyon),
		EcotoneTime:             g.activation(forks.Ecotone),
		FjordTime:               g.activation(forks.Fjord),
		GraniteTime:             g.activation(forks.Granite),
		HoloceneTime:            g.activation(forks.Holocene),
		IsthmusTime:             g.activation(forks.Isthmus),
		JovianTime:              g.activation(forks.Jovian),
		KarstTime:               g.activation(forks.Karst),
		Optimism: &params.OptimismConfig{
			EIP1559Elasticity:        eip1559Elasticity,
			EIP1559Denominator:       eip1559Denominator,
			EIP1559DenominatorCanyon: &canyonDenominator,
		},
	}
	// The L1 forks that the L2 forks bring along.
	config.ShanghaiTime, config.CancunTime = config.CanyonTime, config.EcotoneTime
	config.PragueTime, config.OsakaTime = config.IsthmusTime, config.KarstTime
	return config
}

// genesis is the L2 genesis block with real predeploys and funded development accounts.
func (g Genesis) genesis() (*core.Genesis, error) {
	// The predeploys as they are before the next fork that would change them.
	before := forks.Karst
	if g.active(forks.Karst) {
		before = forks.Next(forks.Karst)
	}
	alloc, err := state.PreForkState(before)
	if err != nil {
		return nil, err
	}
	system := func(code []byte) types.Account {
		return types.Account{Nonce: 1, Code: code, Balance: common.Big0}
	}
	alloc[params.BeaconRootsAddress] = system(params.BeaconRootsCode)
	alloc[params.HistoryStorageAddress] = system(params.HistoryStorageCode)
	ether := new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)
	for _, account := range developmentAccounts {
		alloc[account.address()] = types.Account{Balance: new(big.Int).Mul(ether, big.NewInt(1_000_000))}
	}
	config, minBaseFee := g.chainConfig(), uint64(0)
	return &core.Genesis{
		Config: config, Timestamp: g.l1Time, GasLimit: gasLimit,
		Difficulty: common.Big0, Alloc: alloc, BaseFee: big.NewInt(params.GWei),
		ExtraData: eip1559.EncodeOptimismExtraData(
			config, g.l1Time, eip1559DenominatorCanyon, eip1559Elasticity, &minBaseFee),
		ExcessBlobGas: new(uint64), BlobGasUsed: new(uint64),
	}, nil
}

func (g Genesis) rollupConfig(l2Genesis common.Hash) *rollup.Config {
	canyonDenominator := uint64(eip1559DenominatorCanyon)
	config := &rollup.Config{
		Genesis: rollup.Genesis{
			L1: g.l1, L2: eth.BlockID{Hash: l2Genesis}, L2Time: g.l1Time,
			SystemConfig: eth.SystemConfig{
				BatcherAddr: batcher.address(),
				// Version 1 (Ecotone): base fee scalar 1368, blob base fee scalar 810949.
				Scalar:   eth.Bytes32{0: 1, 25: 0x0c, 26: 0x5f, 27: 0xc5, 30: 0x05, 31: 0x58},
				GasLimit: gasLimit,
			},
		},
		BlockTime: g.blockTime, MaxSequencerDrift: 600,
		SeqWindowSize: 200, ChannelTimeoutBedrock: 100,
		L1ChainID: big.NewInt(l1ChainID), L2ChainID: big.NewInt(l2ChainID),
		BatchInboxAddress:      batchInbox,
		DepositContractAddress: depositContract,
		L1SystemConfigAddress:  systemConfig,
		ChainOpConfig: &opparams.OptimismConfig{
			EIP1559Elasticity:        eip1559Elasticity,
			EIP1559Denominator:       eip1559Denominator,
			EIP1559DenominatorCanyon: &canyonDenominator,
		},
	}
	for _, name := range forks.All {
		if name != forks.Bedrock {
			config.SetActivationTime(name, g.activation(name))
		}
	}
	return config
}

// l1Config describes the L1, a Prague chain, to op-node.
func l1Config() *params.ChainConfig {
	config := *params.MergedTestChainConfig
	config.ChainID = big.NewInt(l1ChainID)
	config.OsakaTime, config.AmsterdamTime, config.VerkleTime = nil, nil, nil
	config.BPO1Time, config.BPO2Time, config.BPO3Time = nil, nil, nil
	config.BPO4Time, config.BPO5Time = nil, nil
	config.Ethash, config.Clique = nil, nil
	config.BlobScheduleConfig = &params.BlobScheduleConfig{
		Cancun: params.DefaultCancunBlobConfig, Prague: params.DefaultPragueBlobConfig,
	}
	return &config
}
