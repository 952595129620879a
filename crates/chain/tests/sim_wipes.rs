//! Seeded simulation of contracts that come, lose their storage and go: created where a wei was sent
//! ahead, destroyed, created again, also within one block, and all of that taken back by reorgs, from
//! memory and from the database. State roots are compared with a full rebuild, old states with what they
//! were at first. `BANYAN_SIM_SEED` repeats one run, `BANYAN_SIM_STEPS` sets its length.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::collections::HashMap;

use banyan_chain::{ChainConfig, Durability, ForkchoiceState, PayloadStatus};
use banyan_commitment::{rebuild, wide::wide_check};
use banyan_primitives::{
    Account, Address, B256, BlockRef, Bytes, RecoveredBlock, SealedBlock, StateSource, U256,
    address,
};
use common::{ACCOUNTS, Kit, account, genesis_json, sign, store, unlagged_root, wide_genesis_json};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

const FACTORY: Address = address!("0x000000000000000000000000000000000000fac0");
/// Stores the time at slot 1 and leaves behind: without calldata SELFDESTRUCT, else stores
/// calldata[32..64] at slot calldata[0..32].
const INIT: [u8; 26] = [
    0x42, 0x60, 1, 0x55, 0x6d, 0x36, 0x60, 6, 0x57, 0x33, 0xff, 0x5b, 0x60, 0x20, 0x35, 0x5f, 0x35,
    0x55, 0x00, 0x5f, 0x52, 0x60, 14, 0x60, 18, 0xf3,
];
const CHILDREN: u64 = 4;
const SLOTS: u64 = 4;

/// CREATE2 of [`INIT`] with calldata[0..32] as salt.
fn factory() -> Vec<u8> {
    let tail = [0x5f, 0x52, 0x5f, 0x35, 0x60, 26, 0x60, 6, 0x5f, 0xf5, 0x00];
    [&[0x79][..], &INIT, &tail].concat()
}

fn child(number: u64) -> Address {
    FACTORY.create2_from_code(B256::from(U256::from(number)), INIT)
}

/// What a state holds of the children.
type Snapshot = Vec<(Option<Account>, Vec<U256>)>;

fn snapshot(state: &impl StateSource) -> Snapshot {
    let child = |number| {
        let address = child(number);
        let account = state.account(&address).unwrap();
        if let Some(account) = account.filter(Account::has_code) {
            assert_eq!(state.code(&account.code_hash).unwrap().len(), 14);
        }
        let slots = (0..SLOTS).map(|slot| state.storage(&address, U256::from(slot)).unwrap());
        (account, slots.collect())
    };
    (0..CHILDREN).map(child).collect()
}

struct Known {
    block: RecoveredBlock,
    children: Snapshot,
    /// Of its own state.
    root: B256,
}

struct Sim {
    kit: Kit,
    rng: ChaCha8Rng,
    known: HashMap<B256, Known>,
    order: Vec<B256>,
    head: B256,
}

impl Sim {
    fn new(seed: u64, wide: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let genesis = match wide {
            false => genesis_json(),
            true => wide_genesis_json(rng.random_range(1..7), rng.random_range(1..4)),
        };
        let config = ChainConfig {
            keep_blocks: rng.random_range(0..6),
            persist_threshold: rng.random_range(1..9),
            root_memory: *[0, 4000, 1 << 30].choose(&mut rng).unwrap(),
            durability: Durability::Process,
            ..Default::default()
        };
        let genesis = common::with_contract(&genesis, FACTORY, &factory());
        let kit = Kit::with_genesis(&genesis, config, Default::default());
        let header = kit.spec.genesis_header.clone();
        let (head, root) = (header.hash(), header.state_root);
        let block = RecoveredBlock::new(SealedBlock { header, body: Default::default() }, vec![]);
        let children = snapshot(&kit.chain.view().state().unwrap());
        let known = HashMap::from([(head, Known { block, children, root })]);
        Self { kit, rng, known, order: vec![head], head }
    }

    /// Sender, receiver, value, calldata.
    fn plan(&mut self) -> Vec<(usize, Address, u64, Bytes)> {
        let mut plan = Vec::new();
        for _ in 0..self.rng.random_range(0..7) {
            let from = self.rng.random_range(0..ACCOUNTS);
            let number = self.rng.random_range(0..CHILDREN);
            let own = child(number);
            plan.push(match self.rng.random_range(0..10) {
                0..2 => (from, own, 1, Bytes::new()),
                2..5 => (from, FACTORY, 0, B256::from(U256::from(number)).0.into()),
                5..9 => {
                    let (slot, value) =
                        (self.rng.random_range(0..SLOTS), self.rng.random_range(0..3));
                    (from, own, 0, store(slot, value))
                }
                _ => (from, own, 0, Bytes::new()),
            });
        }
        plan
    }

    async fn deliver_with_ancestors(&self, hash: B256) {
        let mut missing = vec![hash];
        loop {
            let block = self.known[missing.last().unwrap()].block.clone();
            let parent = block.header.parent_hash;
            if self.kit.chain.new_payload(block).await.unwrap() != PayloadStatus::Syncing {
                break;
            }
            missing.push(parent);
        }
        for hash in missing.iter().rev() {
            let status = self.kit.chain.new_payload(self.known[hash].block.clone()).await.unwrap();
            assert_eq!(status, PayloadStatus::Valid(*hash));
        }
    }

    async fn make_head(&mut self, hash: B256) {
        let state = ForkchoiceState { head: hash, ..Default::default() };
        let (status, _) = self.kit.chain.forkchoice(state).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(hash));
        self.head = hash;
    }

    /// A new head on `parent`.
    async fn extend(&mut self, parent: B256) {
        self.deliver_with_ancestors(parent).await;
        let header = self.known[&parent].block.header.clone();
        let plan = self.plan();
        let extra = self.rng.random::<[u8; 8]>();
        let block = self.kit.build(&header, &extra, |state, base_fee| {
            let mut nonces = HashMap::new();
            let sign = |(from, to, value, input): &(usize, Address, u64, Bytes)| {
                let nonce = nonces.entry(*from).or_insert_with(|| {
                    state.account(&account(*from)).unwrap().unwrap_or_default().nonce
                });
                *nonce += 1;
                sign(*from, *nonce - 1, base_fee, *to, *value, input.clone())
            };
            plan.iter().map(sign).collect()
        });
        let hash = block.hash();
        let status = self.kit.chain.new_payload(block.clone()).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(hash));
        let view = self.kit.chain.view();
        let state = view.trie_state_at(&hash).unwrap().unwrap();
        let root = match view.roots() {
            None => rebuild(&state).unwrap().root,
            Some(_) => unlagged_root(&state),
        };
        let children = snapshot(&state);
        self.known.insert(hash, Known { block, children, root });
        self.order.push(hash);
        self.make_head(hash).await;
    }

    fn random_known(&mut self) -> B256 {
        let recent = self.order.len().saturating_sub(12);
        let from = if self.rng.random_bool(0.85) { recent } else { 0 };
        self.order[self.rng.random_range(from..self.order.len())]
    }

    fn check(&mut self) {
        let view = self.kit.chain.view();
        assert_eq!(view.head().hash(), self.head);
        let probe = view.canonical_hash(self.rng.random_range(0..=view.head().number));
        for hash in [self.head, probe.unwrap().unwrap()] {
            let known = &self.known[&hash];
            assert_eq!(snapshot(&view.state_at(&hash).unwrap().unwrap()), known.children);
            let state = view.trie_state_at(&hash).unwrap().unwrap();
            assert_eq!(snapshot(&state), known.children);
            match view.roots() {
                None => {
                    assert_eq!(rebuild(&state).unwrap().root, known.block.header.state_root);
                    assert_eq!(known.root, known.block.header.state_root);
                }
                Some(roots) => {
                    assert_eq!(unlagged_root(&state), known.root);
                    let block = BlockRef::new(known.block.number(), hash);
                    let found = roots.known(block).unwrap();
                    assert!(found.is_none_or(|root| root == known.root), "the root of {block}");
                }
            }
        }
        let tip = view.canonical_hash(view.persisted_number()).unwrap().unwrap();
        if view.roots().is_some()
            && let Ok(Some(state)) = view.trie_state_at(&tip)
        {
            wide_check(&state).unwrap();
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..55 => self.extend(self.head).await,
            55..75 => {
                let parent = self.random_known();
                self.extend(parent).await;
            }
            75..88 => {
                let head = self.random_known();
                self.deliver_with_ancestors(head).await;
                self.make_head(head).await;
            }
            88..94 => self.kit.restart(),
            _ => self.kit.crash(),
        }
        self.check();
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn simulate(wide: bool, seeds: std::ops::Range<u64>) {
    let steps = setting("BANYAN_SIM_STEPS").unwrap_or(60);
    let seeds = setting("BANYAN_SIM_SEED").map_or(seeds, |seed| seed..seed + 1);
    let mut destroyed = 0;
    for seed in seeds {
        eprintln!("BANYAN_SIM_SEED={seed} BANYAN_SIM_STEPS={steps}");
        let mut sim = Sim::new(seed, wide);
        for _ in 0..steps {
            sim.step().await;
        }
        for known in sim.known.values() {
            let Some(parent) = sim.known.get(&known.block.header.parent_hash) else { continue };
            let is_gone = |(before, after): (&(Option<Account>, _), &(Option<Account>, _))| {
                before.0.is_some_and(|account| account.has_code()) && after.0.is_none()
            };
            destroyed +=
                parent.children.iter().zip(&known.children).filter(|it| is_gone(*it)).count();
        }
    }
    assert_eq!(destroyed > 0, !wide, "before Cancun contracts can be destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_that_come_and_go_leave_the_right_state_whatever_is_taken_back() {
    simulate(false, 0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_a_chain_whose_headers_lag() {
    simulate(true, 0..6).await;
}
