//! Random histories of the pool, held against a model so naive that it can be read at a glance.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::TxEip1559;
use banyan_primitives::{
    Account, Address, B256, Transaction, TransactionTrait, U256, alloy_primitives::keccak256,
};
use banyan_txpool::{CanonicalUpdate, PoolConfig, PoolHandle};
use proptest::{collection::vec, prelude::*};
use testing::{Accounts, BASE_FEE, address, head, key, sign, spec, transfer};

const SENDERS: u8 = 4;
const GWEI: u128 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// A transfer; tip and room above the base fee in gwei.
    Add { sender: u8, nonce: u64, tip: u128, room: u128 },
    /// A block with the best few transactions.
    Block { count: usize, base_fee: u64 },
    /// The last block leaves the chain.
    Reorg,
    /// A block that only changes a balance (gwei).
    Fund { sender: u8, balance: u128 },
    /// A builder gives one up.
    Remove { index: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let sender = 0..SENDERS;
    let base_fee = prop_oneof![Just(BASE_FEE), BASE_FEE / 2..BASE_FEE * 8];
    prop_oneof![
        8 => (sender.clone(), 0..7u64, 1..6u128, 0..6u128)
            .prop_map(|(sender, nonce, tip, room)| Step::Add { sender, nonce, tip, room }),
        2 => (0..4usize, base_fee).prop_map(|(count, base_fee)| Step::Block { count, base_fee }),
        1 => Just(Step::Reorg),
        1 => (sender, 0..2_000_000u128)
            .prop_map(|(sender, balance)| Step::Fund { sender, balance }),
        1 => any::<usize>().prop_map(|index| Step::Remove { index }),
    ]
}

type Txs = BTreeMap<(Address, u64), Transaction>;

/// The pool without limits, as sorted lists.
#[derive(Clone, Debug, Default)]
struct Model {
    txs: Txs,
    accounts: BTreeMap<Address, Account>,
    base_fee: u64,
}

fn cost(tx: &Transaction) -> U256 {
    U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas()) + tx.value()
}

impl Model {
    fn of(&self, sender: Address) -> impl Iterator<Item = &Transaction> {
        self.txs.range((sender, 0)..=(sender, u64::MAX)).map(|(_, tx)| tx)
    }

    fn admits(&self, sender: Address, tx: &Transaction) -> bool {
        let account = self.accounts[&sender];
        let old = self.txs.get(&(sender, tx.nonce()));
        let others = self.of(sender).filter(|other| (**other).nonce() != tx.nonce());
        let total = others.fold(cost(tx), |sum, other| sum + cost(other));
        let lowers = old.is_some_and(|old| cost(tx) <= cost(old));
        let bumps = old.is_none_or(|old| {
            let enough = |old: u128, new: u128| new * 100 >= old * 110;
            enough(old.max_fee_per_gas(), tx.max_fee_per_gas())
                && enough(old.priority_fee_or_price(), tx.priority_fee_or_price())
        });
        tx.nonce() >= account.nonce
            && cost(tx) <= account.balance
            && (total <= account.balance || lowers)
            && bumps
    }

    /// Nonces in a row from the account's, each above the base fee, together affordable.
    fn pending(&self) -> BTreeSet<B256> {
        let mut pending = BTreeSet::new();
        for (sender, account) in &self.accounts {
            let (mut next, mut left) = (account.nonce, account.balance);
            for tx in self.of(*sender) {
                let pays = tx.max_fee_per_gas() >= u128::from(self.base_fee);
                if tx.nonce() != next || !pays || cost(tx) > left {
                    break;
                }
                pending.insert(*tx.hash());
                next += 1;
                left -= cost(tx);
            }
        }
        pending
    }

    fn set_account(&mut self, sender: Address, account: Account) {
        self.accounts.insert(sender, account);
        self.txs.retain(|(owner, nonce), tx| {
            *owner != sender || (*nonce >= account.nonce && cost(tx) <= account.balance)
        });
    }
}

/// What undoes a block: accounts before it and its transactions.
struct Undo {
    accounts: BTreeMap<Address, Account>,
    txs: Vec<(Transaction, Address)>,
}

struct Run {
    pool: PoolHandle,
    config: PoolConfig,
    accounts: Accounts,
    model: Model,
    /// False where limits make the pool forget what the model keeps.
    exact: bool,
    undo: Vec<Undo>,
    number: u64,
}

impl Run {
    fn new(config: PoolConfig, exact: bool) -> Self {
        let pool = PoolHandle::new(spec(), config.clone(), head(1, 1, BASE_FEE));
        let model = Model { base_fee: BASE_FEE, ..Default::default() };
        let accounts = Accounts::default();
        let mut run = Self { pool, config, accounts, model, exact, undo: vec![], number: 1 };
        for sender in 0..SENDERS {
            let balance = U256::from(1_500_000 * GWEI);
            run.set_account(address(&key(sender)), Account { balance, ..Default::default() });
        }
        run
    }

    fn set_account(&mut self, sender: Address, account: Account) {
        self.accounts.set_account(sender, account);
        self.model.set_account(sender, account);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Add { sender, nonce, tip, room } => self.add(sender, nonce, tip, room),
            Step::Block { count, base_fee } => self.block(count, base_fee),
            Step::Reorg => self.reorg(),
            Step::Fund { sender, balance } => self.fund(sender, balance),
            Step::Remove { index } => self.remove(index),
        }
    }

    fn add(&mut self, sender: u8, nonce: u64, tip: u128, room: u128) {
        let tx = TxEip1559 {
            max_fee_per_gas: u128::from(BASE_FEE) + (tip + room) * GWEI,
            max_priority_fee_per_gas: tip * GWEI,
            ..transfer(nonce, 1)
        };
        let tx = Transaction::Eip1559(sign(tx, &key(sender)));
        let (sender, hash) = (address(&key(sender)), *tx.hash());
        let (before, generation) = (self.hashes(), self.pool.generation());
        let result = self.pool.add(tx.clone(), None, &self.accounts);
        if self.exact {
            let admits = self.model.admits(sender, &tx) && !before.contains(&hash);
            assert_eq!(result.is_ok(), admits, "{result:?}");
        }
        match result {
            Ok(_) => {
                assert!(self.pool.get(&hash).is_some());
                assert!(self.pool.generation() > generation);
                self.model.txs.insert((sender, nonce), tx);
            }
            Err(_) => assert_eq!(self.hashes(), before),
        }
    }

    fn block(&mut self, count: usize, base_fee: u64) {
        let best: Vec<_> = self.pool.best(self.model.base_fee, 1).take(count).collect();
        let mut undo = Undo { accounts: self.model.accounts.clone(), txs: vec![] };
        for tx in &best {
            let mut account = self.model.accounts[&tx.sender];
            account.nonce += 1;
            account.balance -= U256::from(21_000 * GWEI);
            self.set_account(tx.sender, account);
            undo.txs.push((tx.tx.clone(), tx.sender));
        }
        let included = best.iter().map(|tx| (tx.sender, tx.hash())).collect();
        self.undo.push(undo);
        self.head(base_fee, vec![], included);
        best.iter().for_each(|tx| assert_eq!(self.pool.known_sender(&tx.hash()), Some(tx.sender)));
    }

    fn reorg(&mut self) {
        let Some(undo) = self.undo.pop() else { return };
        for (_, sender) in &undo.txs {
            self.set_account(*sender, undo.accounts[sender]);
        }
        for (tx, sender) in &undo.txs {
            if cost(tx) <= self.model.accounts[sender].balance {
                self.model.txs.entry((*sender, tx.nonce())).or_insert_with(|| tx.clone());
            }
        }
        self.head(self.model.base_fee, undo.txs, vec![]);
    }

    fn fund(&mut self, sender: u8, balance: u128) {
        let sender = address(&key(sender));
        let nonce = self.model.accounts[&sender].nonce;
        let balance = U256::from(balance * GWEI);
        self.set_account(sender, Account { nonce, balance, ..Default::default() });
        // Blocks before this one would bring the old balance back.
        self.undo.clear();
        let stranger = keccak256(self.number.to_be_bytes());
        self.head(self.model.base_fee, vec![], vec![(sender, stranger)]);
    }

    fn remove(&mut self, index: usize) {
        let hashes: Vec<_> = self.hashes().into_iter().collect();
        if hashes.is_empty() {
            return;
        }
        let hash = hashes[index % hashes.len()];
        self.pool.remove(&[hash]);
        self.model.txs.retain(|_, tx| *tx.hash() != hash);
    }

    fn head(
        &mut self,
        base_fee: u64,
        reverted: Vec<(Transaction, Address)>,
        included: Vec<(Address, B256)>,
    ) {
        self.number += 1;
        self.model.base_fee = base_fee;
        let head = head(self.number, self.number.min(testing::OSAKA - 1), base_fee);
        let generation = self.pool.generation();
        let update = CanonicalUpdate { head, reverted, included, changed: Some(vec![]) };
        self.pool.on_canonical(&update, &self.accounts);
        assert!(self.pool.generation() > generation);
    }

    fn hashes(&self) -> BTreeSet<B256> {
        let content = self.pool.content();
        let all = content.pending.values().chain(content.queued.values());
        all.flat_map(|txs| txs.values().map(|tx| tx.hash())).collect()
    }

    /// What must hold after each step.
    fn check(&mut self) {
        let (status, hashes) = (self.pool.status(), self.hashes());
        assert_eq!(hashes.len(), status.pending + status.queued, "one place for each");
        assert!(hashes.iter().all(|hash| self.pool.get(hash).is_some()));
        self.model.txs.retain(|_, tx| self.exact || hashes.contains(tx.hash()));
        assert_eq!(hashes, self.model.txs.values().map(|tx| *tx.hash()).collect());

        let content = self.pool.content();
        let pending: BTreeSet<_> =
            content.pending.values().flat_map(|txs| txs.values().map(|tx| tx.hash())).collect();
        assert_eq!(pending, self.model.pending());
        self.check_limits();
        self.check_best(&pending);
    }

    fn check_limits(&self) {
        let (status, content) = (self.pool.status(), self.pool.content());
        assert!(status.pending <= self.config.pending_max_count);
        assert!(status.queued <= self.config.queued_max_count);
        let bytes: usize =
            content.pending.values().flat_map(|txs| txs.values().map(|tx| tx.size)).sum();
        assert!(bytes <= self.config.pending_max_bytes);
    }

    /// All executable ones, each time the best that any sender has next.
    fn check_best(&self, pending: &BTreeSet<B256>) {
        let mut left = self.pool.content().pending;
        let mut seen = BTreeSet::new();
        for tx in self.pool.best(self.model.base_fee, 1) {
            let nexts = left.values().filter_map(|txs| txs.values().next());
            let best = nexts.max_by_key(|next| {
                (next.effective_tip(self.model.base_fee), std::cmp::Reverse(next.sequence))
            });
            assert_eq!(best.unwrap().hash(), tx.hash());
            left.get_mut(&tx.sender).unwrap().pop_first();
            seen.insert(tx.hash());
        }
        assert_eq!(seen, *pending);
    }
}

fn run(config: PoolConfig, exact: bool, steps: &[Step]) {
    let mut run = Run::new(config, exact);
    for step in steps {
        run.step(step);
        run.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_pool_agrees_with_the_model(steps in vec(step(), 1..60)) {
        run(PoolConfig::default(), true, &steps);
    }

    #[test]
    fn limits_hold_and_a_refusal_changes_nothing(steps in vec(step(), 1..60)) {
        let config = PoolConfig {
            pending_max_count: 6,
            pending_max_bytes: 600,
            queued_max_count: 4,
            ..Default::default()
        };
        run(config, false, &steps);
    }
}
