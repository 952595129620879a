//! The rules of a generated chain and what stands on it at genesis.

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use banyan_chainspec::{ChainSpec, Fork, GenesisAccount, OpFork};
use banyan_executor::MemoryState;
use banyan_primitives::{Address, B256, Bytes, U256, address};
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::{
    asm::asm,
    authority,
    code::{self, Pools},
    common::{
        self,
        block::{BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_VAULT},
    },
    tokens,
};

pub(crate) const DEPOSITOR: Address = address!("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");
pub(crate) const BENEFICIARY: Address = address!("0xbe000000000000000000000000000000000000be");
pub(crate) const SEQUENCER_VAULT: Address = address!("0x4200000000000000000000000000000000000011");
pub(crate) const DEPOSIT_CONTRACT: Address = address!("0x00000000219ab540356cbb839cbe05303d7705fa");
const SYSTEM: Address = address!("0xfffffffffffffffffffffffffffffffffffffffe");

/// Where chains with a fork on their way take it.
const FORK_TIME: u64 = 15_000;

/// Ethereum chains: a fork, or two and the block or time between them.
const ETHEREUM: [&str; 18] = [
    "Frontier",
    "Homestead",
    "EIP158",
    "Byzantium",
    "ConstantinopleFix",
    "Istanbul",
    "Berlin",
    "London",
    "Paris",
    "Shanghai",
    "Cancun",
    "Prague",
    "Osaka",
    "EIP150ToEIP158At8",
    "BerlinToLondonAt8",
    "ShanghaiToCancunAtTime15k",
    "CancunToPragueAtTime15k",
    "PragueToOsakaAtTime15k",
];
/// OP chains: the newest fork; and if it comes on the way, the fork of Ethereum that comes with it.
const OP: [(&str, Option<&str>); 15] = [
    ("", None),
    ("regolithTime", None),
    ("canyonTime", None),
    ("ecotoneTime", None),
    ("fjordTime", None),
    ("graniteTime", None),
    ("holoceneTime", None),
    ("isthmusTime", None),
    ("jovianTime", None),
    ("karstTime", None),
    ("canyonTime", Some("shanghaiTime")),
    ("ecotoneTime", Some("cancunTime")),
    ("isthmusTime", Some("pragueTime")),
    ("jovianTime", Some("jovianTime")),
    ("karstTime", Some("osakaTime")),
];

/// A chain before its first block.
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) spec: ChainSpec,
    pub(crate) genesis: MemoryState,
    pub(crate) first_time: u64,
    pub(crate) cast: Cast,
    /// Anybody may set the L1 attributes.
    pub(crate) open_l1: bool,
}

/// Who plays.
pub(crate) struct Cast {
    /// Accounts that send; those of the authorities among them.
    pub(crate) senders: Vec<Address>,
    /// Contracts made at random, and those with a purpose.
    pub(crate) contracts: Vec<Address>,
    /// The one that deploys with CREATE2 what it is given.
    pub(crate) deployers: [Address; 2],
    pub(crate) tokens: Vec<Address>,
    /// Accounts that a block may pay.
    pub(crate) beneficiaries: Vec<Address>,
    /// Everything with an address.
    pub(crate) pools: Pools,
}

impl World {
    /// With `whales` some hold so much that whoever they pay overflows. revm then leaves nonsense
    /// behind in a call that fails, so that they go without contracts that earn fees.
    pub(crate) fn new(rng: &mut ChaCha8Rng, whales: bool) -> Self {
        let (name, mut spec) = chain(rng);
        let on_the_way = name.contains("Time15k") || name.ends_with("on the way");
        let first_time = if on_the_way { FORK_TIME - 6 * 12 } else { 12 };
        // The older rules of two: code for them runs under both.
        let first = spec.rules(1, first_time, spec.terminal_total_difficulty.is_some()).fork;
        let mut cast = Cast::new(rng, first, spec.is_op());
        let open_l1 = spec.is_op() && rng.random_ratio(1, 10);
        let mut genesis = accounts(rng, &spec, &cast, first, open_l1);
        if whales && !spec.is_op() {
            cast.beneficiaries.push(BENEFICIARY);
            cast.beneficiaries
                .retain(|address| genesis.get(address).is_none_or(|a| a.code.is_empty()));
            for whale in [BENEFICIARY, cast.senders[1]] {
                let balance = U256::MAX - U256::from(rng.random_range(0..1_000_000u64));
                genesis.insert(whale, account(0, balance, Bytes::new()));
            }
        }
        spec.alloc = genesis;
        spec.deposit_contract = DEPOSIT_CONTRACT;
        let genesis = MemoryState::from_alloc(&spec.alloc);
        Self { name, spec, genesis, first_time, cast, open_l1 }
    }
}

fn chain(rng: &mut impl Rng) -> (String, ChainSpec) {
    // Chains of today more often than those of old.
    if rng.random_ratio(2, 5) {
        let from = if rng.random_ratio(2, 3) { 7 } else { 0 };
        let (last, on_the_way) = *OP[from..].choose(rng).unwrap();
        let Some(with) = on_the_way else { return (format!("OP {last}"), common::op(last)) };
        let more = [(last, FORK_TIME), (with, FORK_TIME)];
        return (format!("OP {last}, on the way"), common::op_with(last, &more));
    }
    let from = if rng.random_ratio(2, 3) { 7 } else { 0 };
    let name = *ETHEREUM[from..].choose(rng).unwrap();
    let blobs = json!({"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477});
    let config = json!({"blobSchedule": {"Cancun": blobs, "Prague": blobs, "Osaka": blobs}});
    (name.to_owned(), common::ethereum(name, &config))
}

/// Far from the precompiles.
fn numbered(from: u64, count: usize) -> impl Iterator<Item = Address> {
    let high = U256::from(0xacc) << 140;
    (from..).take(count).map(move |n| Address::from_word(B256::from(high | U256::from(n))))
}

impl Cast {
    fn new(rng: &mut impl Rng, fork: Fork, is_op: bool) -> Self {
        let mut senders: Vec<_> = numbered(0x5e00, rng.random_range(2..6)).collect();
        senders.extend(authority::addresses());
        let contracts: Vec<_> =
            numbered(0xc000, code::fixed().len()).chain(numbered(0xcc00, 5)).collect();
        let tokens: Vec<_> = numbered(0xe000, 6).collect();
        let mut beneficiaries = vec![BENEFICIARY, BENEFICIARY, senders[0], senders[1]];
        beneficiaries.extend([tokens[0], contracts[5], contracts[6], Address::ZERO]);
        beneficiaries.extend([Address::with_last_byte(4), authority::addresses()[0]]);
        beneficiaries.push(*contracts.last().unwrap());
        let vaults = [SEQUENCER_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_VAULT];
        if is_op {
            beneficiaries.extend([SEQUENCER_VAULT; 6]);
            beneficiaries.extend(vaults);
        }
        // Mostly few, so that what is learnt with one is tried with another.
        beneficiaries.shuffle(rng);
        match rng.random_range(0..6) {
            0 => beneficiaries.extend(&contracts[17..19]),
            1 => beneficiaries = contracts[17..19].to_vec(),
            2 => {}
            _ => beneficiaries.truncate(rng.random_range(1..4)),
        }
        let mut addresses = [&senders[..], &contracts, &tokens].concat();
        addresses.extend([BENEFICIARY, BENEFICIARY, tokens::FEE_TAKER, Address::ZERO]);
        addresses.extend((1..11).step_by(3).chain([0xa0]).map(Address::with_last_byte));
        // Nobody yet: accounts that plain transfers make, and contracts to come.
        addresses.extend(numbered(0xf000, 3));
        addresses.extend([senders[0].create(0), senders[1].create(1), senders[0].create(2)]);
        if is_op {
            addresses.extend(vaults);
            addresses.extend(vaults);
            addresses.push(L1_BLOCK);
        }
        let deployers = [contracts[13], contracts[14]];
        let pools = Pools { fork, addresses, tokens: tokens.clone() };
        Self { senders, contracts, deployers, tokens, beneficiaries, pools }
    }
}

type Accounts = std::collections::BTreeMap<Address, GenesisAccount>;

fn account(nonce: u64, balance: U256, code: impl Into<Bytes>) -> GenesisAccount {
    GenesisAccount { nonce, balance, code: code.into(), ..Default::default() }
}

fn accounts(
    rng: &mut ChaCha8Rng,
    spec: &ChainSpec,
    cast: &Cast,
    fork: Fork,
    open_l1: bool,
) -> Accounts {
    let mut all = Accounts::new();
    for address in &cast.senders {
        let balance = match rng.random_range(0..12) {
            0 => U256::ZERO,
            1 => U256::from(rng.random_range(0..3_000_000u64)),
            _ => U256::from(10).pow(U256::from(24)),
        };
        let nonce = match rng.random_range(0..30) {
            0 => u64::MAX - rng.random_range(0..3),
            1 => 1,
            _ => 0,
        };
        all.insert(*address, account(nonce, balance, Bytes::new()));
    }
    let fixed = code::fixed();
    for (index, address) in cast.contracts.iter().enumerate() {
        let code = fixed.get(index).cloned().unwrap_or_else(|| cast.pools.contract(rng));
        let mut contract = account(1, U256::from(rng.random_range(0..4) * 1000), code);
        for slot in 0..rng.random_range(0..3) {
            contract.storage.insert(U256::from(slot), U256::from(rng.random_range(0..5)));
        }
        all.insert(*address, contract);
    }
    add_tokens(rng, cast, fork, &mut all);
    add_oddities(rng, cast, fork, &mut all);
    if spec.is_op() {
        add_op(rng, cast, open_l1, &mut all);
    } else {
        add_system(rng, &mut all);
    }
    all
}

/// Two tokens of any kind, a plain one, a proxy, a minimal proxy, and a proxy of that.
fn add_tokens(rng: &mut impl Rng, cast: &Cast, fork: Fork, all: &mut Accounts) {
    let can_shift = fork >= Fork::Constantinople && rng.random_ratio(3, 4);
    let implementation =
        |address: Address| (tokens::implementation_slot(), U256::from_be_slice(address.as_slice()));
    for (index, address) in cast.tokens.iter().enumerate() {
        let code = match index {
            0 | 1 => tokens::token(rng, can_shift),
            2 => tokens::plain(can_shift),
            4 => tokens::clone_of(cast.tokens[rng.random_range(0..4)]),
            _ => tokens::proxy(can_shift),
        };
        let mut token = account(1, U256::ZERO, code);
        match index {
            3 => token.storage.extend([implementation(cast.tokens[rng.random_range(0..3)])]),
            5 => token.storage.extend([implementation(cast.tokens[rng.random_range(0..5)])]),
            _ => {}
        }
        for holder in cast.senders.iter().chain(&cast.contracts) {
            let amount = match rng.random_range(0..6) {
                0 => continue,
                1 => U256::from(rng.random_range(0..20)),
                2 if rng.random_ratio(1, 4) => U256::MAX - U256::from(5),
                _ => U256::from(1_000_000),
            };
            token.storage.insert(tokens::balance_slot(*holder), amount);
            let spender = *cast.senders.choose(rng).unwrap();
            let allowed = if rng.random() { U256::MAX } else { U256::from(100) };
            token.storage.insert(tokens::allowance_slot(*holder, spender), allowed);
        }
        all.insert(*address, token);
    }
}

/// Accounts that are there although they are empty, storage where there is no code.
fn add_oddities(rng: &mut impl Rng, cast: &Cast, fork: Fork, all: &mut Accounts) {
    if fork < Fork::SpuriousDragon {
        for address in [Address::with_last_byte(3), cast.senders[0].create(0), Address::ZERO] {
            if rng.random_ratio(1, 3) {
                all.insert(address, account(0, U256::ZERO, Bytes::new()));
            }
        }
    }
    // Somebody waits where a contract would go: with money, with storage, with code.
    let place = cast.senders[rng.random_range(0..2)].create(rng.random_range(0..3));
    match rng.random_range(0..6) {
        0 => drop(all.insert(place, account(0, U256::ONE, Bytes::new()))),
        1 => {
            let mut occupied = account(0, U256::ONE, Bytes::new());
            occupied.storage.insert(U256::ONE, U256::ONE);
            all.insert(place, occupied);
        }
        2 => drop(all.insert(place, account(1, U256::ZERO, asm("caller selfdestruct")))),
        _ => {}
    }
}

/// What pays for L1, and the vaults: bare, absent or with code that empties them.
fn add_op(rng: &mut impl Rng, cast: &Cast, open_l1: bool, all: &mut Accounts) {
    // Only the depositor may set the attributes; on a few chains anybody.
    let guard = match open_l1 {
        true => String::new(),
        false => format!("caller {DEPOSITOR} xor @no jumpi"),
    };
    let code = format!(
        "{guard}
         4 calldataload 0xffffffff and 1 sstore
         4 calldataload 0xfff and 96 shl 5 calldataload 0xfff and 64 shl or 3 sstore
         6 calldataload 0xfff and 5 sstore 7 calldataload 0xfffff and 6 sstore
         8 calldataload 0xffffff and 7 sstore
         9 calldataload 0xff and 64 shl 10 calldataload 0xffff and or 8 sstore
         stop no: 0 sload 1 add 0 sstore"
    );
    let mut l1 = account(1, U256::ZERO, asm(&code));
    for slot in [1, 3, 5, 6, 7, 8] {
        l1.storage.insert(U256::from(slot), U256::from(1000 * slot) << (8 * slot));
    }
    all.insert(L1_BLOCK, l1);
    for vault in [SEQUENCER_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_VAULT] {
        let code = match rng.random_range(0..4) {
            0 => asm("0 0 0 0 address balance 0 calldataload gas call 0 sstore"),
            1 => cast.pools.contract(rng),
            2 => Vec::new(),
            _ => continue,
        };
        all.insert(vault, account(u64::from(!code.is_empty()), U256::from(7), code));
    }
}

/// System contracts in the simplest form that answers; and one that can fail.
fn add_system(rng: &mut impl Rng, all: &mut Accounts) {
    let store = format!(
        "caller {SYSTEM} eq @set jumpi 0 calldataload sload 0 mstore 32 0 return
         set: 0 calldataload number 7 and sstore"
    );
    for address in [HISTORY_STORAGE_ADDRESS, BEACON_ROOTS_ADDRESS] {
        if rng.random_ratio(9, 10) {
            all.insert(address, account(1, U256::ZERO, asm(&store)));
        }
    }
    let limit = if rng.random_ratio(1, 10) { 2 } else { 1_000_000 };
    let queue = format!(
        "caller {SYSTEM} eq @drain jumpi 0 sload 1 add 0 sstore caller 1 sstore stop
         drain: {limit} 0 sload gt @fail jumpi
         0 sload 0 mstore 1 sload 32 mstore 0 0 sstore 64 0 return fail: 0 0 revert"
    );
    for address in [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS] {
        all.insert(address, account(1, U256::ZERO, asm(&queue)));
    }
    let event = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";
    let deposits = format!("calldatasize 0 0 calldatacopy {event} calldatasize 0 log1");
    all.insert(DEPOSIT_CONTRACT, account(1, U256::ZERO, asm(&deposits)));
}

/// True if OP rules from `fork` on are in force.
pub(crate) fn is_op(spec: &ChainSpec, time: u64, fork: OpFork) -> bool {
    spec.rules(1, time, true).is_op(fork)
}
