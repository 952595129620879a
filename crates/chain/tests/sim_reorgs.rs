//! Seeded simulation: random blocks, siblings, orphans, bad blocks, forkchoice in every direction,
//! persistence at any point, restarts and crashes; compared with a model of plain maps and with a full
//! rebuild of the state root. On a `wide` chain headers carry the root of an earlier block of their own
//! branch. `BANYAN_SIM_SEED` repeats one run, `BANYAN_SIM_STEPS` sets its length.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::collections::{BTreeMap, HashMap};

use banyan_chain::{ChainConfig, Durability, ForkchoiceState, PayloadStatus};
use banyan_commitment::{rebuild, rebuild_storage, wide::wide_check};
use banyan_primitives::{
    Address, B256, Block, BlockRef, MESSAGE_PASSER, MESSAGE_PASSER_TRIE, RecoveredBlock,
    SealedBlock, StateSource, U256,
};
use banyan_storage::DatabaseOptions;
use common::{
    ACCOUNTS, Kit, STORE, account, genesis_json, sign, store, unlagged_root, wide_genesis_json,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

const SLOTS: u64 = 24;

/// What the model knows of a block: its content, its parent, the storage after it.
struct Known {
    block: RecoveredBlock,
    slots: BTreeMap<(Address, u64), u64>,
    nonces: [u64; ACCOUNTS],
    /// Of its own state, on a chain whose headers lag; zero before it was executed.
    unlagged: B256,
}

struct Sim {
    kit: Kit,
    rng: ChaCha8Rng,
    known: HashMap<B256, Known>,
    order: Vec<B256>,
    head: B256,
    safe: Option<B256>,
    finalized: Option<B256>,
    genesis: B256,
    /// Contracts that write storage.
    stores: Vec<Address>,
    reorgs: usize,
}

impl Sim {
    fn new(seed: u64, wide: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (genesis, stores) = match wide {
            false => (genesis_json(), vec![STORE]),
            true => {
                let (lag, interval) = (rng.random_range(1..7), rng.random_range(1..4));
                (wide_genesis_json(lag, interval), vec![STORE, MESSAGE_PASSER])
            }
        };
        let config = ChainConfig {
            keep_blocks: rng.random_range(0..6),
            persist_threshold: rng.random_range(1..5),
            // With the tree in memory, or without.
            root_memory: *[0, 1 << 30].choose(&mut rng).unwrap(),
            durability: *[Durability::Process, Durability::Power].choose(&mut rng).unwrap(),
            ..Default::default()
        };
        // Small segments, so that they are let go and used again.
        let journal_segment = *[1 << 12, 1 << 14, 1 << 20].choose(&mut rng).unwrap();
        let options = DatabaseOptions { journal_segment, ..Default::default() };
        let kit = Kit::with_genesis(&genesis, config, options);
        let header = kit.spec.genesis_header.clone();
        let genesis = header.hash();
        let unlagged = header.state_root;
        let block = RecoveredBlock::new(SealedBlock { header, body: Default::default() }, vec![]);
        let first = Known { block, slots: BTreeMap::new(), nonces: [0; ACCOUNTS], unlagged };
        let known = HashMap::from([(genesis, first)]);
        let order = vec![genesis];
        let (head, safe, finalized, reorgs) = (genesis, None, None, 0);
        Self { kit, rng, known, order, head, safe, finalized, genesis, stores, reorgs }
    }

    fn is_wide(&self) -> bool {
        self.kit.spec.commitment.wide().is_some()
    }

    fn random_known(&mut self) -> B256 {
        // Mostly near the tip, sometimes anywhere.
        let recent = self.order.len().saturating_sub(12);
        let from = if self.rng.random_bool(0.85) { recent } else { 0 };
        self.order[self.rng.random_range(from..self.order.len())]
    }

    async fn deliver(&self, block: &RecoveredBlock) -> PayloadStatus {
        self.kit.chain.new_payload(block.clone()).await.unwrap()
    }

    /// Sends a known block and whatever the node has forgotten below it (it may after a restart).
    async fn deliver_with_ancestors(&self, hash: B256) {
        let mut missing = vec![hash];
        while self.deliver(&self.known[missing.last().unwrap()].block).await
            == PayloadStatus::Syncing
        {
            missing.push(self.known[missing.last().unwrap()].block.header.parent_hash);
        }
        for hash in missing.iter().rev() {
            assert_eq!(self.deliver(&self.known[hash].block).await, PayloadStatus::Valid(*hash));
        }
    }

    /// A new valid block on `parent`, entered in the model.
    async fn extend(&mut self, parent: B256, deliver: bool) -> B256 {
        self.deliver_with_ancestors(parent).await;
        let base = &self.known[&parent];
        let (mut slots, mut nonces) = (base.slots.clone(), base.nonces);
        let header = base.block.header.clone();
        let mut plan = Vec::new();
        for _ in 0..self.rng.random_range(0..6) {
            let from = self.rng.random_range(0..ACCOUNTS);
            if self.rng.random_bool(0.3) {
                let to = account(self.rng.random_range(0..ACCOUNTS));
                plan.push((from, nonces[from], to, self.rng.random_range(0..1000), None));
            } else {
                let slot = self.rng.random_range(0..SLOTS);
                let value = if self.rng.random_bool(0.4) { 0 } else { self.rng.random() };
                let to = *self.stores.choose(&mut self.rng).unwrap();
                slots.insert((to, slot), value);
                plan.push((from, nonces[from], to, 0, Some((slot, value))));
            }
            nonces[from] += 1;
        }
        let extra = self.rng.random::<[u8; 8]>();
        let block = self.kit.build(&header, &extra, |_, base_fee| {
            plan.iter()
                .map(|(from, nonce, to, value, call)| {
                    let input = call.map(|(slot, value)| store(slot, value)).unwrap_or_default();
                    sign(*from, *nonce, base_fee, *to, *value, input)
                })
                .collect()
        });
        let hash = block.hash();
        if deliver {
            assert_eq!(self.deliver(&block).await, PayloadStatus::Valid(hash));
        }
        let unlagged = match deliver && self.is_wide() {
            true => self.unlagged(hash),
            false => B256::ZERO,
        };
        self.known.insert(hash, Known { block, slots, nonces, unlagged });
        self.order.push(hash);
        if self.is_wide() {
            self.check_lag(hash);
        }
        hash
    }

    fn unlagged(&self, hash: B256) -> B256 {
        let view = self.kit.chain.view();
        unlagged_root(&view.trie_state_at(&hash).unwrap().unwrap())
    }

    /// The header carries the root of its ancestor's own state.
    fn check_lag(&self, hash: B256) {
        let header = &self.known[&hash].block.header;
        let params = self.kit.spec.commitment.wide().unwrap();
        let committed = params.committed_by(0, header.number);
        let ancestor = self.branch(hash)[(header.number - committed) as usize];
        assert_eq!(header.state_root, self.known[&ancestor].unlagged, "{params:?}");
    }

    /// Child first, then parent: the child waits and is connected by itself.
    async fn orphan(&mut self) {
        let parent = self.random_known();
        let first = self.extend(parent, true).await;
        let second = self.extend(first, true).await;
        self.restart();
        let child = self.known[&second].block.clone();
        if self.deliver(&child).await != PayloadStatus::Syncing {
            return; // the parent happened to be written before the restart
        }
        self.deliver_with_ancestors(first).await;
        let state = ForkchoiceState { head: second, ..Default::default() };
        let (status, _) = self.kit.chain.forkchoice(state).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(second), "the waiting child was not connected");
        self.moved(second);
    }

    async fn bad_block(&mut self) {
        let parent = self.random_known();
        self.deliver_with_ancestors(parent).await;
        let good = self.extend(parent, false).await;
        let good = self.known.remove(&good).unwrap().block;
        self.order.pop();
        let mut header = good.header.inner().clone();
        match self.rng.random_range(0..4) {
            0 => header.state_root = B256::repeat_byte(1),
            1 => header.gas_used += 1,
            2 => header.receipts_root = B256::repeat_byte(2),
            _ => header.base_fee_per_gas = header.base_fee_per_gas.map(|fee| fee + 1),
        }
        let bad = Block { header, body: good.body.clone() };
        let bad = RecoveredBlock::new(SealedBlock::seal(bad), good.senders.to_vec());
        let latest_valid = Some(parent);
        for block in [bad.clone(), child_of(&bad)] {
            match self.deliver(&block).await {
                PayloadStatus::Invalid { latest_valid: found, .. } => {
                    assert_eq!(found, latest_valid)
                }
                status => panic!("bad block answered {status:?}"),
            }
        }
        assert_eq!(self.kit.chain.view().head().hash(), self.head, "a bad block moved the head");
    }

    async fn forkchoice(&mut self) {
        let head = self.random_known();
        self.deliver_with_ancestors(head).await;
        let branch = self.branch(head);
        self.reorgs += usize::from(!branch.contains(&self.head));
        let safe = *branch.choose(&mut self.rng).unwrap();
        let below = self.branch(safe);
        let finalized = *below.choose(&mut self.rng).unwrap();
        let given = |given: bool, label: B256| if given { label } else { B256::ZERO };
        let state = ForkchoiceState {
            head,
            safe: given(self.rng.random_bool(0.8), safe),
            finalized: given(self.rng.random_bool(0.8), finalized),
        };
        let before = (self.head, self.safe, self.finalized);
        if !self.relabel(state, &branch) {
            (self.head, self.safe, self.finalized) = before;
            self.kit.chain.forkchoice(state).await.unwrap_err();
            self.check_labels();
            return;
        }
        let (status, _) = self.kit.chain.forkchoice(state).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(head));
        self.check_labels();
        self.order.retain(|hash| *hash != head);
        self.order.push(head);
    }

    /// What the labels are after `state`; false if they are not in order.
    fn relabel(&mut self, state: ForkchoiceState, branch: &[B256]) -> bool {
        let on_old = self.branch(self.head);
        let shared = branch.iter().find(|hash| on_old.contains(hash)).unwrap();
        let still = self.branch(*shared);
        let kept = |old: Option<B256>| old.filter(|label| still.contains(label));
        let given = |label: B256| (!label.is_zero()).then_some(label);
        let height = |label: Option<B256>| label.map(|hash| self.known[&hash].block.number());
        let finalized = given(state.finalized).or(kept(self.finalized));
        let mut safe = given(state.safe).or(kept(self.safe));
        if safe.is_some() && height(safe) < height(finalized) {
            if given(state.safe).is_some() {
                return false;
            }
            safe = finalized;
        }
        (self.head, self.safe, self.finalized) = (state.head, safe, finalized);
        true
    }

    /// The head has moved without new labels: those that left the chain are gone.
    fn moved(&mut self, head: B256) {
        let branch = self.branch(head);
        self.head = head;
        self.safe = self.safe.filter(|label| branch.contains(label));
        self.finalized = self.finalized.filter(|label| branch.contains(label));
    }

    /// The block and its ancestors, newest first.
    fn branch(&self, tip: B256) -> Vec<B256> {
        let mut branch = vec![tip];
        while *branch.last().unwrap() != self.genesis {
            branch.push(self.known[branch.last().unwrap()].block.header.parent_hash);
        }
        branch
    }

    /// What is stored of the tree agrees with the state, wherever it stands by now.
    fn check_rows(&self) {
        let view = self.kit.chain.view();
        let tip = view.canonical_hash(view.persisted_number()).unwrap().unwrap();
        let Ok(Some(state)) = view.trie_state_at(&tip) else { return };
        wide_check(&state).unwrap();
    }

    fn check(&mut self) {
        if self.is_wide() {
            self.check_rows();
        }
        let view = self.kit.chain.view();
        let branch = self.branch(self.head);
        for hash in &branch {
            let known = &self.known[hash];
            let number = known.block.number();
            assert_eq!(view.canonical_hash(number).unwrap(), Some(*hash), "block {number}");
        }
        assert_eq!(view.canonical_hash(branch.len() as u64).unwrap(), None);
        let probe = *branch.choose(&mut self.rng).unwrap();
        for hash in [self.head, probe] {
            self.check_state(hash);
        }
        for tx in &self.known[&probe].block.body.transactions {
            let location = view.transaction(tx.hash()).unwrap().expect("mined transaction");
            assert_eq!(location.block.hash(), probe);
        }
    }

    fn check_state(&self, hash: B256) {
        let (view, known) = (self.kit.chain.view(), &self.known[&hash]);
        let state = view.state_at(&hash).unwrap().unwrap();
        for (store, slot) in self.stores.iter().flat_map(|to| (0..SLOTS).map(move |n| (*to, n))) {
            let expected = U256::from(known.slots.get(&(store, slot)).copied().unwrap_or(0));
            assert_eq!(state.storage(&store, U256::from(slot)).unwrap(), expected, "slot {slot}");
        }
        for (index, nonce) in known.nonces.iter().enumerate() {
            let found = state.account(&account(index)).unwrap().unwrap();
            assert_eq!(found.nonce, *nonce, "nonce of account {index}");
        }
        let tries = view.trie_state_at(&hash).unwrap().unwrap();
        let Some(roots) = view.roots() else {
            assert_eq!(rebuild(&tries).unwrap().root, known.block.header.state_root);
            return;
        };
        assert_eq!(unlagged_root(&tries), known.unlagged);
        let block = BlockRef::new(known.block.number(), hash);
        if let Some(root) = roots.known(block).unwrap() {
            assert_eq!(root, known.unlagged, "the root of {block}");
        }
        let withdrawals = rebuild_storage(&tries, MESSAGE_PASSER_TRIE).unwrap().root;
        assert_eq!(Some(withdrawals), known.block.header.withdrawals_root);
    }

    /// Stops and opens again.
    fn restart(&mut self) {
        self.kit.restart();
        self.check_labels();
    }

    /// As a killed process and its successor.
    fn crash(&mut self) {
        self.kit.crash();
        self.check_labels();
    }

    /// The chain is as it was answered; side blocks may be forgotten.
    fn check_labels(&self) {
        let view = self.kit.chain.view();
        assert_eq!(view.head().hash(), self.head, "the head after a restart");
        assert_eq!(view.safe().map(|header| header.hash()), self.safe, "safe");
        assert_eq!(view.finalized().map(|header| header.hash()), self.finalized, "finalized");
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => {
                let head = self.head;
                let hash = self.extend(head, true).await;
                let state = ForkchoiceState { head: hash, ..Default::default() };
                self.kit.chain.forkchoice(state).await.unwrap();
                self.moved(hash);
            }
            45..65 => {
                let parent = self.random_known();
                let hash = self.extend(parent, true).await;
                if self.is_wide() {
                    self.reorgs += usize::from(!self.branch(hash).contains(&self.head));
                    let state = ForkchoiceState { head: hash, ..Default::default() };
                    self.kit.chain.forkchoice(state).await.unwrap();
                    self.moved(hash);
                }
            }
            65..70 => self.orphan().await,
            70..78 => self.bad_block().await,
            78..90 => self.forkchoice().await,
            90..94 => self.restart(),
            _ => self.crash(),
        }
        self.check();
    }
}

/// An empty block that names `parent` as its parent.
fn child_of(parent: &RecoveredBlock) -> RecoveredBlock {
    let mut header = parent.header.inner().clone();
    header.parent_hash = parent.hash();
    header.number += 1;
    let block = Block { header, body: Default::default() };
    RecoveredBlock::new(SealedBlock::seal(block), vec![])
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Steps of seeds from `seeds`; gives back how often the head left its branch.
async fn simulate(wide: bool, seeds: std::ops::Range<u64>, steps: u64) -> usize {
    let steps = setting("BANYAN_SIM_STEPS").unwrap_or(steps);
    let seeds = setting("BANYAN_SIM_SEED").map_or(seeds, |seed| seed..seed + 1);
    let mut reorgs = 0;
    for seed in seeds {
        eprintln!("BANYAN_SIM_SEED={seed} BANYAN_SIM_STEPS={steps}");
        let mut sim = Sim::new(seed, wide);
        for _ in 0..steps {
            sim.step().await;
        }
        let transactions: usize =
            sim.known.values().map(|known| known.block.body.transactions.len()).sum();
        assert!(transactions > 0 && sim.known.len() > 10, "the simulation did nothing");
        reorgs += sim.reorgs;
    }
    reorgs
}

#[tokio::test(flavor = "multi_thread")]
async fn random_blocks_reorgs_restarts_and_crashes_agree_with_the_model() {
    simulate(false, 0..6, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_a_chain_whose_headers_lag() {
    let reorgs = simulate(true, 0..10, 120).await;
    eprintln!("{reorgs} reorgs");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: 10,000 reorgs on each kind of chain, minutes; cargo test --test sim_reorgs -- --ignored"]
async fn ten_thousand_reorgs_on_each_kind_of_chain() {
    for wide in [false, true] {
        let (mut reorgs, mut seed) = (0, 1_000);
        while reorgs < 10_000 {
            reorgs += simulate(wide, seed..seed + 1, 400).await;
            seed += 1;
            eprintln!("{reorgs} reorgs, {}", if wide { "headers lag" } else { "own roots" });
        }
    }
}
