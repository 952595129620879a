//! Seeded simulation: random blocks, siblings, orphans, bad blocks, forkchoice in every direction,
//! persistence at any point, restarts and crashes; compared with a model of plain maps and with a full
//! rebuild of the state root. `BANYAN_SIM_SEED` repeats one run, `BANYAN_SIM_STEPS` sets its length.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::collections::{BTreeMap, HashMap};

use banyan_chain::{ChainConfig, Durability, ForkchoiceState, PayloadStatus};
use banyan_commitment::rebuild;
use banyan_primitives::{B256, Block, RecoveredBlock, SealedBlock, StateSource, U256};
use common::{ACCOUNTS, Kit, STORE, account, sign, store};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

const SLOTS: u64 = 24;

/// What the model knows of a block: its content, its parent, the storage after it.
struct Known {
    block: RecoveredBlock,
    slots: BTreeMap<u64, u64>,
    nonces: [u64; ACCOUNTS],
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
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = ChainConfig {
            keep_blocks: rng.random_range(0..6),
            persist_threshold: rng.random_range(1..5),
            durability: *[Durability::Process, Durability::Power].choose(&mut rng).unwrap(),
            ..Default::default()
        };
        let kit = Kit::new(config);
        let header = kit.spec.genesis_header.clone();
        let genesis = header.hash();
        let block = RecoveredBlock::new(SealedBlock { header, body: Default::default() }, vec![]);
        let first = Known { block, slots: BTreeMap::new(), nonces: [0; ACCOUNTS] };
        let known = HashMap::from([(genesis, first)]);
        let order = vec![genesis];
        Self { kit, rng, known, order, head: genesis, safe: None, finalized: None, genesis }
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
                slots.insert(slot, value);
                plan.push((from, nonces[from], STORE, 0, Some((slot, value))));
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
        self.known.insert(hash, Known { block, slots, nonces });
        self.order.push(hash);
        hash
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
        let safe = *branch.choose(&mut self.rng).unwrap();
        let below = self.branch(safe);
        let finalized = *below.choose(&mut self.rng).unwrap();
        let state = ForkchoiceState { head, safe, finalized };
        let (status, view) = self.kit.chain.forkchoice(state).await.unwrap();
        assert_eq!(status, PayloadStatus::Valid(head));
        assert_eq!(view.head().hash(), head);
        assert_eq!(view.safe().map(|header| header.hash()), Some(safe));
        assert_eq!(view.finalized().map(|header| header.hash()), Some(finalized));
        self.moved(head);
        (self.safe, self.finalized) = (Some(safe), Some(finalized));
        self.order.retain(|hash| *hash != head);
        self.order.push(head);
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

    fn check(&mut self) {
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
        for slot in 0..SLOTS {
            let expected = U256::from(known.slots.get(&slot).copied().unwrap_or(0));
            assert_eq!(state.storage(&STORE, U256::from(slot)).unwrap(), expected, "slot {slot}");
        }
        for (index, nonce) in known.nonces.iter().enumerate() {
            let found = state.account(&account(index)).unwrap().unwrap();
            assert_eq!(found.nonce, *nonce, "nonce of account {index}");
        }
        let tries = view.trie_state_at(&hash).unwrap().unwrap();
        assert_eq!(rebuild(&tries).unwrap().root, known.block.header.state_root);
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
                self.extend(parent, true).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn random_blocks_reorgs_restarts_and_crashes_agree_with_the_model() {
    let steps = setting("BANYAN_SIM_STEPS").unwrap_or(60);
    let seeds = setting("BANYAN_SIM_SEED").map_or(0..6, |seed| seed..seed + 1);
    for seed in seeds {
        eprintln!("BANYAN_SIM_SEED={seed} BANYAN_SIM_STEPS={steps}");
        let mut sim = Sim::new(seed);
        for _ in 0..steps {
            sim.step().await;
        }
        let transactions: usize =
            sim.known.values().map(|known| known.block.body.transactions.len()).sum();
        assert!(transactions > 0 && sim.known.len() > 10, "the simulation did nothing");
    }
}
