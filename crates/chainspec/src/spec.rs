use std::collections::BTreeMap;

use banyan_primitives::{Address, Header, Sealable, SealedHeader, U256};

use crate::{
    BlobParams, Commitment, Fork, GenesisAccount, GenesisError, OpFork, Rules, ScheduledFork,
    config::{Config, Start},
    genesis::GenesisFile,
    json::quote_big_integers,
    schedule::Schedule,
};

/// EIP-1559 parameters of Ethereum.
const ETHEREUM_BASE_FEE: BaseFeeParams = BaseFeeParams { denominator: 8, elasticity: 2 };

/// EIP-1559 parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseFeeParams {
    /// Largest change per block is 1/denominator.
    pub denominator: u64,
    /// Gas target is gas limit / elasticity.
    pub elasticity: u64,
}

/// What the `optimism` object of a genesis file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpParams {
    /// Fee parameters up to Canyon.
    pub base_fee: BaseFeeParams,
    /// Denominator since Canyon.
    pub denominator_canyon: u64,
}

/// The DAO fork of 2016 (EIP-779).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaoFork {
    /// Block of the fork.
    pub block: u64,
    /// Whether this chain made the irregular state change, or stayed as it was.
    pub support: bool,
}

/// One chain: identity, fork schedule, fee parameters, genesis.
#[derive(Clone, Debug)]
pub struct ChainSpec {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// OP parameters; `None` on Ethereum chains.
    pub op: Option<OpParams>,
    /// Terminal total difficulty; `None` if the chain never merges.
    pub terminal_total_difficulty: Option<U256>,
    /// Deposit contract (EIP-6110).
    pub deposit_contract: Address,
    /// The DAO fork, if the chain has one.
    pub dao: Option<DaoFork>,
    /// How headers commit to state.
    pub commitment: Commitment,
    /// Genesis header, with the state root of the allocation.
    pub genesis_header: SealedHeader,
    /// Genesis allocation.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    schedule: Schedule,
    forks: Vec<ScheduledFork>,
    unsupported: Vec<ScheduledFork>,
}

impl ChainSpec {
    /// Reads a genesis file in geth or op-geth form.
    ///
    /// Keys of `config` that name no fork are ignored; a fork that is not known here is refused, as
    /// are forks in an impossible order.
    pub fn from_genesis_json(json: &str) -> Result<Self, GenesisError> {
        let mut file: GenesisFile = serde_json::from_str(&quote_big_integers(json))
            .map_err(|error| GenesisError::Malformed(error.to_string()))?;
        if file.state_hash.is_some() {
            return Err(GenesisError::Inconsistent(
                "stateHash stands in place of the allocation; a file with `alloc` is needed".into(),
            ));
        }
        let start = Start { number: file.number()?, timestamp: file.timestamp()? };
        let config = Config::read(std::mem::take(&mut file.config), start)?;
        let alloc = file.take_alloc()?;
        let rules = rules(&config.schedule, start.number, start.timestamp, true);
        let by_number = config.schedule.fork(start.number, start.timestamp, false);
        let london = config.op.is_some() || by_number >= Fork::London;
        config.commitment.check(&rules)?;
        let header = file.header(&rules, london, &alloc, config.commitment)?;
        check_extra_data(&rules, &header.extra_data)?;
        Ok(Self {
            chain_id: config.chain_id,
            op: config.op,
            terminal_total_difficulty: config.terminal_total_difficulty,
            deposit_contract: config.deposit_contract,
            dao: config.dao,
            commitment: config.commitment,
            genesis_header: header.seal_slow(),
            alloc,
            schedule: config.schedule,
            forks: config.forks,
            unsupported: config.unsupported,
        })
    }

    /// The built-in development chain (id 901, all OP forks at genesis).
    pub fn dev() -> Self {
        Self::from_genesis_json(include_str!("../../../genesis/dev.json"))
            .expect("the built-in genesis file is valid")
    }

    /// True on an OP Stack chain.
    pub const fn is_op(&self) -> bool {
        self.op.is_some()
    }

    /// Rules for a block; `merged` says whether it is a proof-of-stake block.
    pub fn rules(&self, number: u64, timestamp: u64, merged: bool) -> Rules {
        rules(&self.schedule, number, timestamp, merged)
    }

    /// Rules for the block of `header` (proof of stake if its difficulty is zero).
    pub fn rules_of(&self, header: &Header) -> Rules {
        self.rules(header.number, header.timestamp, header.difficulty.is_zero())
    }

    /// Rules for a block built or received through the Engine API.
    pub fn rules_at(&self, number: u64, timestamp: u64) -> Rules {
        self.rules(number, timestamp, true)
    }

    /// EIP-1559 parameters of the chain at a timestamp (before Holocene; then they are in `extraData`).
    pub fn base_fee_params(&self, timestamp: u64) -> BaseFeeParams {
        let Some(op) = self.op else { return ETHEREUM_BASE_FEE };
        let canyon = self.schedule.op_fork(timestamp) >= Some(OpFork::Canyon);
        let denominator = if canyon { op.denominator_canyon } else { op.base_fee.denominator };
        BaseFeeParams { denominator, ..op.base_fee }
    }

    /// Activation time of a fork, `None` if not scheduled (or activated by block number).
    pub fn activation_time(&self, fork: Fork) -> Option<u64> {
        self.schedule.times.iter().find(|(name, _)| *name == fork).map(|(_, time)| *time)
    }

    /// Activation block of a fork, `None` if not scheduled (or activated by timestamp).
    pub fn activation_block(&self, fork: Fork) -> Option<u64> {
        self.schedule.blocks.iter().find(|(name, _)| *name == fork).map(|(_, block)| *block)
    }

    /// Activation time of an OP fork.
    pub fn op_activation_time(&self, fork: OpFork) -> Option<u64> {
        self.schedule.op.iter().find(|(name, _)| *name == fork).map(|(_, time)| *time)
    }

    /// Blob parameters in force at a timestamp.
    pub fn blob_params(&self, timestamp: u64) -> Option<BlobParams> {
        self.schedule.blobs(timestamp)
    }

    /// All scheduled forks, BPO steps and the merge netsplit included: those by block number, then
    /// Ethereum's by time, then OP's. For fork ids (EIP-2124) and `eth_config` (EIP-7910).
    pub fn forks(&self) -> &[ScheduledFork] {
        &self.forks
    }

    /// Forks that the genesis file schedules but that this version does not implement. Blocks from
    /// their activation on would be judged by the wrong rules: warn the operator.
    pub fn unsupported_forks(&self) -> &[ScheduledFork] {
        &self.unsupported
    }
}

fn rules(schedule: &Schedule, number: u64, timestamp: u64, merged: bool) -> Rules {
    let op = schedule.op_fork(timestamp);
    let fork = match op {
        Some(op) => op.ethereum(),
        None => schedule.fork(number, timestamp, merged),
    };
    let blobs = if fork >= Fork::Cancun { schedule.blobs(timestamp) } else { None };
    Rules { fork, op, blobs }
}

/// The first block takes its fee parameters from here, so a malformed value would stop the chain.
fn check_extra_data(rules: &Rules, extra: &[u8]) -> Result<(), GenesisError> {
    let (fork, length, version) = if rules.is_op(OpFork::Jovian) {
        ("Jovian", 17, 1)
    } else if rules.is_op(OpFork::Holocene) {
        ("Holocene", 9, 0)
    } else {
        return Ok(());
    };
    if extra.len() != length || extra.first() != Some(&version) {
        return Err(GenesisError::Inconsistent(format!(
            "extraData must hold {fork}'s fee parameters: {length} bytes, the first of them {version}"
        )));
    }
    Ok(())
}
