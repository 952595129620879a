//! The database with its layers against maps: random blocks and forks, persisted and unwound at
//! any point. Every read at every block equals the model or is refused as stale, never wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod model;

use std::sync::Arc;

use banyan_primitives::{
    B256, SourceError, StateSource,
    trie::{TrieId, TrieSource},
};
use banyan_state::{SharedView, StateView, persist_layer, persist_layers, reverse_layer, unwind};
use banyan_storage::{BlockRead, Database, Marker, Table, WriteTxn};
use model::{ADDRESSES, Model, State, check_reads, check_trie, dump, node_diff, open, pick};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A database beside its model.
struct Sim {
    rng: ChaCha8Rng,
    db: Database,
    model: Model,
    /// Path of model blocks from genesis to the persisted tip.
    persisted: Vec<usize>,
    /// Views held open while the database moves on, with the model block each must equal.
    held: Vec<(usize, StateView)>,
    threads: rayon::ThreadPool,
    _dir: tempfile::TempDir,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (dir, db) = open();
        let model = Model::genesis(&mut rng);
        model.write_genesis(&db);
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        Self { rng, db, model, persisted: vec![0], held: Vec::new(), threads, _dir: dir }
    }

    fn tip(&self) -> usize {
        *self.persisted.last().unwrap()
    }

    /// Adds a block on a random recent one.
    fn extend(&mut self) {
        let recent = self.model.blocks.len().saturating_sub(6);
        let parent = self.rng.random_range(recent..self.model.blocks.len());
        self.model.extend(parent, &mut self.rng);
    }

    /// Writes the next layers on the way from the tip to a random descendant of it.
    fn persist(&mut self) {
        let tip = self.tip();
        let mut heads: Vec<_> = (0..self.model.blocks.len()).collect();
        heads.retain(|head| *head != tip && self.model.path(*head).contains(&tip));
        let Some(head) = pick(&mut self.rng, &heads) else { return };
        let path = self.model.path(head);
        let above = path.iter().position(|block| *block == tip).unwrap() + 1;
        let count = self.rng.random_range(1..=path.len() - above);
        let txn = self.db.write().unwrap();
        let blocks = &path[above..above + count];
        let layers: Vec<_> = blocks.iter().map(|block| self.model.layer(*block)).collect();
        if self.rng.random() {
            persist_layers(&txn, layers.iter().map(|layer| &**layer)).unwrap();
        } else {
            layers.iter().for_each(|layer| persist_layer(&txn, layer).unwrap());
        }
        layers.iter().for_each(|layer| set_canonical(&txn, layer.block.number, layer.block.hash));
        self.persisted.extend(blocks);
        txn.commit().unwrap();
    }

    /// Takes the database back to a random persisted block.
    fn unwind(&mut self) {
        let keep = self.rng.random_range(1..=self.persisted.len());
        let (from, to) = (self.tip(), self.persisted[keep - 1]);
        let target = self.model.blocks[to].block;
        let reverse = reverse_layer(&self.db.read().unwrap(), target.number).unwrap();
        let nodes =
            node_diff(&self.model.blocks[from].state.nodes, &self.model.blocks[to].state.nodes);
        let txn = self.db.write().unwrap();
        unwind(&txn, target, &reverse.with_nodes(nodes)).unwrap();
        for removed in self.persisted.drain(keep..) {
            let number = self.model.blocks[removed].block.number;
            txn.delete(Table::Canonical, &number.to_be_bytes()).unwrap();
        }
        txn.commit().unwrap();
    }

    fn hold(&mut self) {
        let block = self.rng.random_range(0..self.model.blocks.len());
        let layers = self.model.layers(block, 0);
        if let Ok(view) = StateView::new(&self.db, layers, self.model.blocks[block].block) {
            self.held.push((block, view));
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..10) {
            0..4 => self.extend(),
            4..7 => self.persist(),
            7 => self.unwind(),
            8 => self.hold(),
            _ => self.check(),
        }
    }

    /// All of the promises, at every block.
    fn check(&mut self) {
        for block in 0..self.model.blocks.len() {
            self.check_view(block);
        }
        for (number, block) in self.persisted.clone().into_iter().enumerate() {
            self.check_history(number as u64, block);
            self.check_reverse(number as u64, block);
        }
        for (block, view) in &self.held {
            check_reads(view, &self.model, *block);
            check_trie(view, &self.model.blocks[*block].state, &mut self.rng);
            self.check_shared(*block, view);
        }
    }

    /// Wherever the database has moved to, other threads see the same state, twice.
    fn check_shared(&self, block: usize, view: &StateView) {
        match view.another() {
            Ok(another) => check_reads(&another, &self.model, block),
            Err(SourceError::Stale(_)) => {}
            Err(error) => panic!("{error}"),
        }
        for workers in [1, 2] {
            let shared = SharedView::new(view, workers);
            self.threads.broadcast(|_| check_reads(&shared, &self.model, block));
            check_reads(&shared, &self.model, block);
        }
    }

    /// Layers down to a random ancestor: right if the tip is that ancestor or one of the layers,
    /// else refused.
    fn check_view(&mut self, block: usize) {
        let path = self.model.path(block);
        let base = self.rng.random_range(0..path.len());
        let layers = self.model.layers(block, base);
        let fresh = path[base..].contains(&self.tip());
        match StateView::new(&self.db, layers, self.model.blocks[block].block) {
            Ok(view) => {
                assert!(fresh, "a stale view was given out");
                check_reads(&view, &self.model, block);
                check_trie(&view, &self.model.blocks[block].state, &mut self.rng);
            }
            Err(SourceError::Stale(hash)) => {
                assert!(!fresh, "a fresh view was refused");
                assert_eq!(hash, self.model.blocks[block].block.hash);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn check_history(&self, number: u64, block: usize) {
        let view = StateView::history(&self.db, number).unwrap();
        check_reads(&view, &self.model, block);
        if block != self.tip() {
            assert!(view.leaves(TrieId::Accounts, &Default::default(), B256::ZERO, 1).is_err());
        }
    }

    /// The reverse layer is a state of its own, with tries, and may carry further layers.
    fn check_reverse(&mut self, number: u64, block: usize) {
        let tip = self.tip();
        let reverse = reverse_layer(&self.db.read().unwrap(), number).unwrap();
        let nodes =
            node_diff(&self.model.blocks[tip].state.nodes, &self.model.blocks[block].state.nodes);
        let reverse = Arc::new(reverse.with_nodes(nodes));
        let heads: Vec<_> = (0..self.model.blocks.len())
            .filter(|head| self.model.path(*head).get(number as usize) == Some(&block))
            .collect();
        let head = pick(&mut self.rng, &heads).unwrap();
        let mut layers = self.model.layers(head, number as usize);
        if !layers.iter().any(|layer| layer.block == self.model.blocks[tip].block) {
            layers.push(reverse);
        }
        let view = StateView::new(&self.db, layers, self.model.blocks[head].block).unwrap();
        check_reads(&view, &self.model, head);
        check_trie(&view, &self.model.blocks[head].state, &mut self.rng);
    }
}

fn set_canonical(txn: &WriteTxn<'_>, number: u64, hash: B256) {
    txn.put(Table::Canonical, &number.to_be_bytes(), hash.as_slice()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_read_equals_the_model_or_is_refused(seed in any::<u64>()) {
        let mut sim = Sim::new(seed);
        for _ in 0..40 {
            sim.step();
        }
        sim.check();
    }

    #[test]
    fn persist_then_unwind_leaves_every_table_as_it_was(seed in any::<u64>()) {
        let mut sim = Sim::new(seed);
        for _ in 0..8 {
            sim.extend();
            sim.persist();
        }
        let tip = sim.tip();
        let before = dump(&sim.db);
        for _ in 0..4 {
            let parent = sim.model.blocks.len() - 1;
            sim.model.extend(if sim.model.path(parent).contains(&tip) { parent } else { tip }, &mut sim.rng);
        }
        sim.persist();
        let (from, to) = (&sim.model.blocks[sim.tip()], &sim.model.blocks[tip]);
        prop_assert_ne!(from.block, to.block);
        let reverse = reverse_layer(&sim.db.read().unwrap(), to.block.number).unwrap();
        let reverse = reverse.with_nodes(node_diff(&from.state.nodes, &to.state.nodes));
        let txn = sim.db.write().unwrap();
        unwind(&txn, to.block, &reverse).unwrap();
        for number in to.block.number + 1..=from.block.number {
            txn.delete(Table::Canonical, &number.to_be_bytes()).unwrap();
        }
        txn.commit().unwrap();
        prop_assert_eq!(dump(&sim.db), before);
    }
}

#[test]
fn layers_out_of_order_are_refused_and_nothing_is_written() {
    let mut sim = Sim::new(7);
    let first = sim.model.extend(0, &mut sim.rng);
    let second = sim.model.extend(first, &mut sim.rng);
    let before = dump(&sim.db);
    let txn = sim.db.write().unwrap();
    assert!(persist_layer(&txn, &sim.model.layer(second)).is_err());
    assert!(unwind(&txn, sim.model.blocks[first].block, &sim.model.layer(second)).is_err());
    drop(txn);
    assert_eq!(dump(&sim.db), before);
}

#[test]
fn an_interrupted_write_leaves_the_tip_and_the_state_together() {
    let mut sim = Sim::new(8);
    let block = sim.model.extend(0, &mut sim.rng);
    let txn = sim.db.write().unwrap();
    persist_layer(&txn, &sim.model.layer(block)).unwrap();
    drop(txn);
    let txn = sim.db.read().unwrap();
    assert_eq!(txn.marker(Marker::Tip).unwrap(), Some(sim.model.blocks[0].block));
    check_reads(&StateView::history(&sim.db, 0).unwrap(), &sim.model, 0);
}

#[test]
fn states_that_are_not_kept_are_stale() {
    let mut sim = Sim::new(9);
    for error in [
        StateView::history(&sim.db, 1).unwrap_err(),
        StateView::new(&sim.db, Vec::new(), Default::default()).unwrap_err(),
    ] {
        assert!(matches!(error, SourceError::Stale(_)), "{error}");
    }
    let block = sim.model.extend(0, &mut sim.rng);
    let mixed = vec![sim.model.layer(block)];
    let error = StateView::new(&sim.db, mixed, sim.model.blocks[0].block).unwrap_err();
    assert!(matches!(error, SourceError::Fault(_)), "{error}");
}

#[test]
fn unknown_code_is_missing_and_unknown_accounts_are_absent() {
    let sim = Sim::new(10);
    let view = StateView::history(&sim.db, 0).unwrap();
    let hash = B256::repeat_byte(0xcc);
    assert!(matches!(view.code(&hash), Err(SourceError::MissingCode(h)) if h == hash));
    let stranger = banyan_primitives::Address::repeat_byte(0xdd);
    assert!(ADDRESSES.iter().all(|address| *address != stranger));
    assert_eq!(view.account(&stranger).unwrap(), None);
    assert_eq!(State::default().accounts.len(), 0);
}
