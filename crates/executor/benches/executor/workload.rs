//! Blocks of one kind of transaction each, on an Ethereum chain (Cancun: without the
//! requests of later forks, whose contracts would have to be there).

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_chainspec::ChainSpec;
use banyan_executor::{MemoryState, execute_block};
use banyan_primitives::{
    Address, B256, BlockBody, Bytes, Header, RecoveredBlock, Sealable, SealedBlock, Signature,
    Transaction, TxKind, U256, address, alloy_primitives::hex, keccak256,
};
use revm::database::{CacheDB, EmptyDB};

use crate::lean;

const TOKEN: Address = address!("0x00000000000000000000000000000000000e2c20");
const CHAIN_ID: u64 = 7;
const TRANSFER_GAS: u64 = 21_000;
/// More than a token transfer takes between accounts that hold some.
const TOKEN_GAS: u64 = 40_000;

/// `transfer(address,uint256)` of a token with its balances in mapping 0: checks the sender's
/// balance, moves the amount, emits `Transfer`, returns true. Any selector will do.
const TOKEN_CODE: &[u8] = &hex!(
    "335f5260405f2080546024358082 10605a57809103909155" // from: balance >= amount, less it
    "6004355f5260405f20805482019055"                     // to: more by it
    "5f52600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa3"
    "60015f5260205ff35b5f5ffd"
);

/// A block and the state below it, in the form of each contender.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) spec: ChainSpec,
    /// Its header says the gas used.
    pub(crate) block: RecoveredBlock,
    pub(crate) state: MemoryState,
    pub(crate) lean: CacheDB<EmptyDB>,
}

/// A workload that is not made yet.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) make: Box<dyn FnOnce() -> Workload>,
}

impl Plan {
    pub(crate) fn new(
        name: impl Into<String>,
        make: impl FnOnce(String) -> Workload + 'static,
    ) -> Self {
        let name = name.into();
        Self { name: name.clone(), make: Box::new(move || make(name)) }
    }
}

/// Sender and receiver of transaction number `n`.
type Pair = fn(u64) -> (u64, u64);

/// All of them; `gas` is that of a block (unless told: two sizes of transfers, one of the rest).
pub(crate) fn all(gas: Option<u64>) -> Vec<Plan> {
    let transfers: [(&str, Pair); 5] = [
        ("self", |n| (n, n)),
        ("distinct", |n| (2 * n, 2 * n + 1)),
        ("one receiver", |n| (n + 1, 0)),
        ("one sender", |n| (0, n + 1)),
        ("chain", |n| (n, n + 1)),
    ];
    let tokens: [(&str, Pair); 2] =
        [("independent", |n| (2 * n, 2 * n + 1)), ("one receiver", |n| (n + 1, 0))];
    let mut plans = Vec::new();
    for gas in gas.map_or(vec![60_000_000, 1_000_000_000], |gas| vec![gas]) {
        plans.extend(transfers.map(|(name, pair)| {
            let name = format!("transfers, {name}, {} Mgas", gas / 1_000_000);
            Plan::new(name, move |name| {
                let call = |to| (to, U256::ONE, Bytes::new());
                Workload::calls(name, gas, gas / TRANSFER_GAS, pair, call)
            })
        }));
    }
    let gas = gas.unwrap_or(60_000_000);
    plans.extend(tokens.map(|(name, pair)| {
        Plan::new(format!("erc20 minimal, {name}"), move |name| {
            let call = |to| (TOKEN, U256::ZERO, token_call(to));
            Workload::calls(name, gas, gas / TOKEN_GAS, pair, call)
        })
    }));
    plans
}

impl Workload {
    fn calls(
        name: String,
        gas_limit: u64,
        count: u64,
        pair: Pair,
        call: fn(Address) -> (Address, U256, Bytes),
    ) -> Self {
        let mut nonces = std::collections::HashMap::<u64, u64>::new();
        let transactions = (0..count).map(|n| {
            let (from, to) = pair(n);
            let nonce = nonces.entry(from).or_default();
            let (to, value, input) = call(account(to));
            let tx = transaction(*nonce, to, value, input);
            *nonce += 1;
            (tx, account(from))
        });
        let transactions = transactions.collect();
        Self::synthetic(name, gas_limit, transactions, state(2 * count + 2))
    }

    /// A block of these transactions, all of which must succeed.
    fn synthetic(
        name: String,
        gas_limit: u64,
        transactions: Vec<(Transaction, Address)>,
        state: MemoryState,
    ) -> Self {
        let (transactions, senders): (Vec<_>, Vec<_>) = transactions.into_iter().unzip();
        let mut header = Header {
            number: 1,
            timestamp: 1,
            beneficiary: address!("0x00000000000000000000000000000000000000be"),
            gas_limit,
            base_fee_per_gas: Some(7),
            mix_hash: B256::repeat_byte(1),
            excess_blob_gas: Some(0),
            blob_gas_used: Some(0),
            ..Default::default()
        };
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        let block = |header: &Header| {
            let header = header.clone().seal_slow();
            RecoveredBlock::new(SealedBlock { header, body: body.clone() }, senders.clone())
        };
        let spec = spec();
        let output = execute_block(&spec, &block(&header), &state).unwrap();
        let failed = output.receipts.iter().position(|receipt| !receipt.success);
        assert_eq!(failed, None, "{name}: a transaction fails");
        header.gas_used = output.gas_used;
        let (block, lean) = (block(&header), lean::database(&state));
        Self { name, spec, block, state, lean }
    }
}

fn spec() -> ChainSpec {
    let blocks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople"];
    let later = ["petersburg", "istanbul", "berlin", "london", "mergeNetsplit"];
    let blocks: String =
        blocks.iter().chain(&later).map(|fork| format!(r#""{fork}Block":0,"#)).collect();
    let genesis = format!(
        r#"{{"config":{{"chainId":{CHAIN_ID},{blocks}"terminalTotalDifficulty":0,
        "shanghaiTime":0,"cancunTime":0,"blobSchedule":{{
        "cancun":{{"target":3,"max":6,"baseFeeUpdateFraction":3338477}}}}}},
        "gasLimit":"0x1c9c380","difficulty":"0x0","timestamp":"0x0","baseFeePerGas":"0x7",
        "alloc":{{}}}}"#
    );
    ChainSpec::from_genesis_json(&genesis).unwrap()
}

fn account(number: u64) -> Address {
    let mut bytes = [0x11; 20];
    bytes[12..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Address::from(bytes)
}

/// `accounts` funded ones, all of which hold the token.
fn state(accounts: u64) -> MemoryState {
    let mut state = MemoryState::default();
    let rich = U256::from(10).pow(U256::from(20));
    let mut balances = Vec::new();
    for number in 0..accounts {
        state.insert(account(number), 0, rich, Bytes::new(), []);
        let slot = keccak256([account(number).into_word(), B256::ZERO].concat());
        balances.push((slot.into(), U256::from(1_000_000)));
    }
    state.insert(TOKEN, 1, U256::ZERO, Bytes::from_static(TOKEN_CODE), balances);
    state
}

fn token_call(to: Address) -> Bytes {
    let amount = U256::ONE.to_be_bytes::<32>();
    [&hex!("a9059cbb")[..], to.into_word().as_slice(), &amount].concat().into()
}

/// Typed but not signed: the executor is told the sender.
fn transaction(nonce: u64, to: Address, value: U256, input: Bytes) -> Transaction {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: if input.is_empty() { TRANSFER_GAS } else { TOKEN_GAS },
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value,
        input,
        ..Default::default()
    };
    Transaction::Eip1559(tx.into_signed(Signature::test_signature()))
}
