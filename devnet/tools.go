//go:build tools

// Package tools pins the programs that `build` compiles.
package tools

import (
	_ "github.com/ethereum-optimism/optimism/op-batcher/cmd"
	_ "github.com/ethereum-optimism/optimism/op-node/cmd"
)
