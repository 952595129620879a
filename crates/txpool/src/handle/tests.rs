use std::sync::Mutex;

use alloy_consensus::{TxEip1559, TxEip4844};
use alloy_eips::eip4844::{Blob, BlobTransactionSidecar, Bytes48, kzg_to_versioned_hash};
use banyan_primitives::{Account, Bytes, SourceError, U256};

use super::*;
use crate::testing::{
    Accounts, BASE_FEE, CHAIN_ID, ETHER, OSAKA, address, head, key, sign, signed_transfer, spec,
    transfer,
};

struct Fixture {
    pool: PoolHandle,
    accounts: Accounts,
}

/// A pool in which the first accounts own an ether.
fn fixture() -> Fixture {
    let accounts = Accounts::default();
    for index in 0..10 {
        accounts.set(address(&key(index)), 0, ETHER);
    }
    let pool = PoolHandle::new(spec(), PoolConfig::default(), head(1, 1, BASE_FEE));
    Fixture { pool, accounts }
}

impl Fixture {
    fn add(&self, sender: u8, nonce: u64, tip: u64) -> B256 {
        let tx = signed_transfer(&key(sender), nonce, tip);
        self.pool.add(tx, None, &self.accounts).unwrap()
    }

    fn status(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.pending, status.queued)
    }

    /// A block with these transactions of `sender`, whose nonce is `nonce` then.
    fn block(&self, sender: u8, nonce: u64, hashes: &[B256]) -> CanonicalUpdate {
        let sender = address(&key(sender));
        self.accounts.set(sender, nonce, ETHER);
        let included = hashes.iter().map(|hash| (sender, *hash)).collect();
        CanonicalUpdate {
            head: head(2, 2, BASE_FEE),
            reverted: vec![],
            included,
            changed: Some(vec![]),
        }
    }

    fn best(&self) -> Vec<B256> {
        self.pool.best(BASE_FEE, 1).map(|tx| tx.hash()).collect()
    }
}

fn blob_tx(nonce: u64, max_fee_per_blob_gas: u128) -> (Transaction, PooledSidecar) {
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let points = vec![Bytes48::new(infinity)];
    let sidecar =
        BlobTransactionSidecar::new(vec![Blob::default()], points.clone(), points.clone());
    let base = transfer(nonce, 1);
    let tx = TxEip4844 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: base.gas_limit,
        max_fee_per_gas: base.max_fee_per_gas,
        max_priority_fee_per_gas: base.max_priority_fee_per_gas,
        max_fee_per_blob_gas,
        blob_versioned_hashes: vec![kzg_to_versioned_hash(&infinity)],
        ..Default::default()
    };
    (Transaction::Eip4844(sign(tx, &key(1))), sidecar.into())
}

#[test]
fn best_is_ordered_by_tip_then_arrival_and_by_nonce_within_a_sender() {
    let fixture = fixture();
    let slow = fixture.add(1, 0, 1);
    let behind = fixture.add(1, 1, 9);
    let first = fixture.add(2, 0, 3);
    let second = fixture.add(3, 0, 3);
    fixture.add(4, 1, 9);
    assert_eq!(fixture.best(), [first, second, slow, behind]);

    let mut best = fixture.pool.best(BASE_FEE, 1);
    assert_eq!(best.next().unwrap().hash(), first);
    best.skip_sender(address(&key(1)));
    assert_eq!(best.map(|tx| tx.hash()).collect::<Vec<_>>(), [second]);
}

#[test]
fn best_weighs_tips_at_the_base_fee_of_the_block() {
    let fixture = fixture();
    let capped = TxEip1559 { max_priority_fee_per_gas: 900_000_000, ..transfer(0, 1) };
    let capped = Transaction::Eip1559(sign(capped, &key(1)));
    let capped = fixture.pool.add(capped, None, &fixture.accounts).unwrap();
    let wide = TxEip1559 { max_priority_fee_per_gas: 500_000_000, ..transfer(0, 5) };
    let wide = Transaction::Eip1559(sign(wide, &key(2)));
    let wide = fixture.pool.add(wide, None, &fixture.accounts).unwrap();
    assert_eq!(fixture.best(), [capped, wide]);
    let best = fixture.pool.best(BASE_FEE + 600_000_000, 1);
    assert_eq!(best.map(|tx| tx.hash()).collect::<Vec<_>>(), [wide, capped]);
    assert_eq!(fixture.pool.best(BASE_FEE + 1_000_000_001, 1).count(), 1);
}

#[test]
fn included_transactions_leave_and_their_senders_stay_known() {
    let fixture = fixture();
    let hashes = [fixture.add(1, 0, 1), fixture.add(1, 1, 1)];
    let rest = fixture.add(1, 2, 1);
    let generation = fixture.pool.generation();
    let update = fixture.block(1, 2, &hashes);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert!(fixture.pool.generation() > generation);
    assert_eq!(fixture.best(), [rest]);
    assert!(fixture.pool.get(&hashes[0]).is_none());
    assert_eq!(fixture.pool.known_sender(&hashes[0]), Some(address(&key(1))));
    assert_eq!(fixture.pool.known_sender(&B256::ZERO), None);
    assert_eq!(fixture.pool.next_nonce(&address(&key(1))), Some(3));
}

#[test]
fn a_nonce_used_by_another_transaction_drops_the_pooled_one() {
    let fixture = fixture();
    let gone = fixture.add(1, 0, 1);
    let update = fixture.block(1, 1, &[B256::repeat_byte(1)]);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert!(fixture.pool.get(&gone).is_none());
    assert_eq!(fixture.status(), (0, 0));
}

#[test]
fn state_older_than_the_head_does_not_bring_a_used_nonce_back() {
    let fixture = fixture();
    let old = Accounts::default();
    old.set(address(&key(1)), 0, ETHER);
    let update = fixture.block(1, 1, &[B256::repeat_byte(1)]);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    let error = fixture.pool.add(signed_transfer(&key(1), 0, 1), None, &old).unwrap_err();
    assert_eq!(error.to_string(), "nonce too low: next nonce 1, tx nonce 0");
}

#[test]
fn a_reorg_brings_transactions_back_but_neither_deposits_nor_included_ones() {
    let fixture = fixture();
    let txs: Vec<_> = (0..3).map(|nonce| signed_transfer(&key(1), nonce, 1)).collect();
    let sender = address(&key(1));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    fixture.pool.set_listener(Box::new(move |tx| list.lock().unwrap().push(tx.hash())));

    fixture.accounts.set(sender, 1, ETHER);
    let deposit = Transaction::from(banyan_primitives::TxDeposit::default());
    let mut reverted: Vec<_> = txs.iter().map(|tx| (tx.clone(), sender)).collect();
    reverted.push((deposit.clone(), Address::ZERO));
    let update = CanonicalUpdate {
        head: head(1, 2, BASE_FEE),
        reverted,
        included: vec![(sender, *txs[0].hash()), (Address::ZERO, *deposit.hash())],
        changed: Some(vec![]),
    };
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.best(), [*txs[1].hash(), *txs[2].hash()]);
    assert_eq!(*heard.lock().unwrap(), fixture.best());
    assert_eq!(fixture.status(), (2, 0));
}

#[test]
fn the_base_fee_demotes_and_promotes() {
    let fixture = fixture();
    let hash = fixture.add(1, 0, 1);
    fixture.add(1, 1, 5);
    let mut update = fixture.block(2, 0, &[]);
    update.head = head(2, 2, 3 * BASE_FEE);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.status(), (0, 2));
    assert_eq!(fixture.pool.content().queued[&address(&key(1))].len(), 2);
    // A nonce counts as used all the same.
    assert_eq!(fixture.pool.next_nonce(&address(&key(1))), Some(2));
    update.head = head(3, 3, BASE_FEE);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.status(), (2, 0));
    let content = fixture.pool.content();
    assert_eq!(content.pending[&address(&key(1))][&0].hash(), hash);
    assert!(content.queued.is_empty());
}

#[test]
fn a_sender_short_of_funds_waits_and_is_looked_at_with_every_head() {
    let fixture = fixture();
    let hash = fixture.add(1, 0, 1);
    fixture.add(1, 1, 1);
    let sender = address(&key(1));
    let mut update = fixture.block(1, 0, &[B256::repeat_byte(1)]);
    // A transfer costs 42,000 gwei at most.
    fixture.accounts.set(sender, 0, 42_000_000_000_000);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.status(), (1, 1));
    assert_eq!(fixture.best(), [hash]);

    fixture.accounts.set(sender, 0, ETHER);
    update.included.clear();
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.status(), (2, 0));

    fixture.accounts.set(sender, 0, 41_999_999_999_999);
    update.included.push((sender, B256::repeat_byte(1)));
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.status(), (0, 0));
}

#[test]
fn removing_one_makes_those_behind_it_wait() {
    let fixture = fixture();
    fixture.add(1, 0, 1);
    let middle = fixture.add(1, 1, 1);
    fixture.add(1, 2, 1);
    fixture.pool.remove(&[middle]);
    assert_eq!(fixture.status(), (1, 1));
    assert_eq!(fixture.pool.next_nonce(&address(&key(1))), Some(1));
    let generation = fixture.pool.generation();
    fixture.pool.remove(&[middle]);
    assert_eq!(fixture.pool.generation(), generation);
}

#[test]
fn the_next_nonce_is_unknown_without_a_transaction_that_follows() {
    let fixture = fixture();
    assert_eq!(fixture.pool.next_nonce(&address(&key(1))), None);
    fixture.add(1, 4, 1);
    assert_eq!(fixture.pool.next_nonce(&address(&key(1))), None);
}

#[test]
fn the_minimum_tip_can_be_raised() {
    let fixture = fixture();
    fixture.pool.set_minimum_tip(2_000_000_000);
    let tx = signed_transfer(&key(1), 0, 1);
    let error = fixture.pool.add(tx, None, &fixture.accounts).unwrap_err();
    assert!(error.to_string().starts_with("transaction gas price below minimum: "), "{error}");
}

#[test]
fn a_raised_minimum_tip_applies_to_what_is_pooled_and_to_building() {
    let fixture = fixture();
    let low = fixture.add(1, 0, 1);
    let high = fixture.add(2, 0, 3);
    fixture.pool.set_minimum_tip(2_000_000_000);
    assert!(fixture.pool.get(&low).is_none());
    assert_eq!(fixture.best(), [high]);
    // Its fee cap leaves 1 gwei above this base fee.
    assert_eq!(fixture.pool.best(3 * BASE_FEE, 1).count(), 0);
    fixture.pool.set_minimum_tip(0);
    assert_eq!(fixture.pool.best(3 * BASE_FEE, 1).count(), 1);
}

#[test]
fn what_waits_too_long_leaves() {
    let fixture = fixture();
    let seconds = Duration::from_secs;
    let lifetime = PoolConfig::default().lifetime;
    let executable = fixture.add(1, 0, 1);
    let waits = fixture.add(2, 1, 1);
    let freed = fixture.add(3, 1, 1);
    assert_eq!(fixture.pool.tick(seconds(5)), 0);
    fixture.add(3, 0, 1);
    assert_eq!(fixture.pool.tick(seconds(4) + lifetime), 0);
    assert_eq!(fixture.pool.tick(seconds(5) + lifetime), 1);
    assert!(fixture.pool.get(&waits).is_none());
    assert!(fixture.pool.get(&executable).is_some() && fixture.pool.get(&freed).is_some());
}

#[test]
fn an_account_sends_blobs_or_none() {
    let fixture = fixture();
    let (tx, sidecar) = blob_tx(0, 5);
    fixture.pool.add(tx, Some(sidecar), &fixture.accounts).unwrap();
    let plain = signed_transfer(&key(1), 1, 1);
    let error = fixture.pool.add(plain, None, &fixture.accounts).unwrap_err();
    assert_eq!(error.to_string(), "address already reserved");
    for nonce in 1..16 {
        let (tx, sidecar) = blob_tx(nonce, 5);
        fixture.pool.add(tx, Some(sidecar), &fixture.accounts).unwrap();
    }
    let (tx, sidecar) = blob_tx(16, 5);
    let error = fixture.pool.add(tx, Some(sidecar), &fixture.accounts).unwrap_err();
    assert_eq!(error.to_string(), "account limit exceeded: pooled 16 txs");
}

#[test]
fn a_blob_transaction_is_replaced_at_twice_its_fees() {
    let fixture = fixture();
    let (tx, sidecar) = blob_tx(0, 5);
    let old = fixture.pool.add(tx.clone(), Some(sidecar.clone()), &fixture.accounts).unwrap();
    let Transaction::Eip4844(signed) = tx else { panic!("a blob transaction") };
    let base = signed.tx().clone();
    let raised = |fee_cap: u128, tip: u128, blob_fee: u128| {
        let tx = TxEip4844 {
            max_fee_per_gas: base.max_fee_per_gas * fee_cap / 100,
            max_priority_fee_per_gas: base.max_priority_fee_per_gas * tip / 100,
            max_fee_per_blob_gas: blob_fee,
            ..base.clone()
        };
        let tx = Transaction::Eip4844(sign(tx, &key(1)));
        fixture.pool.add(tx, Some(sidecar.clone()), &fixture.accounts)
    };
    for (fee_cap, tip, blob_fee) in [(199, 200, 10), (200, 199, 10), (200, 200, 9)] {
        let error = raised(fee_cap, tip, blob_fee).unwrap_err();
        assert_eq!(error.to_string(), "replacement transaction underpriced");
    }
    raised(200, 200, 10).unwrap();
    assert!(fixture.pool.get(&old).is_none());
    assert_eq!(fixture.status(), (1, 0));
}

#[test]
fn blobs_are_found_by_versioned_hash_and_come_back_with_a_reorg() {
    let fixture = fixture();
    let (tx, sidecar) = blob_tx(0, 5);
    let versioned = kzg_to_versioned_hash(sidecar.commitments()[0].as_slice());
    let hash = fixture.pool.add(tx.clone(), Some(sidecar), &fixture.accounts).unwrap();
    let found = fixture.pool.blobs(&[B256::ZERO, versioned]);
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().map(|(tx, index)| (tx.hash(), *index)), Some((hash, 0)));
    assert_eq!(fixture.pool.best(BASE_FEE, 6).count(), 0);
    assert_eq!(fixture.pool.best(BASE_FEE, 5).count(), 1);

    let (gapped, sidecar) = blob_tx(2, 5);
    let error = fixture.pool.add(gapped, Some(sidecar), &fixture.accounts).unwrap_err();
    assert_eq!(error.to_string(), "nonce too high: tx nonce 2, gapped nonce 1");

    let update = fixture.block(1, 1, &[hash]);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert!(fixture.pool.blobs(&[versioned])[0].is_none());

    let mut update = fixture.block(1, 0, &[]);
    update.reverted.push((tx, address(&key(1))));
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert!(fixture.pool.blobs(&[versioned])[0].is_some());
}

#[test]
fn a_fork_drops_what_it_makes_impossible() {
    let fixture = fixture();
    let (tx, sidecar) = blob_tx(0, 5);
    fixture.pool.add(tx, Some(sidecar), &fixture.accounts).unwrap();
    let large = TxEip1559 { gas_limit: 20_000_000, ..transfer(0, 1) };
    let large = Transaction::Eip1559(sign(large, &key(2)));
    fixture.pool.add(large, None, &fixture.accounts).unwrap();
    let stays = fixture.add(3, 0, 1);
    let mut update = fixture.block(4, 0, &[]);
    update.head = head(2, OSAKA, BASE_FEE);
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.best(), [stays]);
}

/// State that cannot be read.
struct Stale;

impl StateSource for Stale {
    fn account(&self, _address: &Address) -> Result<Option<Account>, SourceError> {
        Err(SourceError::Stale(B256::ZERO))
    }
    fn storage(&self, _address: &Address, _slot: U256) -> Result<U256, SourceError> {
        Err(SourceError::Stale(B256::ZERO))
    }
    fn code(&self, _hash: &B256) -> Result<Bytes, SourceError> {
        Err(SourceError::Stale(B256::ZERO))
    }
    fn block_hash(&self, _number: u64) -> Result<B256, SourceError> {
        Err(SourceError::Stale(B256::ZERO))
    }
}

#[test]
fn unreadable_state_is_told_and_tried_again_with_the_next_head() {
    let fixture = fixture();
    let refused = fixture.pool.add(signed_transfer(&key(1), 0, 1), None, Stale);
    assert!(matches!(refused, Err(PoolError::Source(SourceError::Stale(_)))));

    let included = fixture.add(1, 0, 1);
    let rest = fixture.add(1, 1, 1);
    let mut update = fixture.block(1, 1, &[included]);
    fixture.pool.on_canonical(&update, Stale);
    assert_eq!(fixture.status(), (0, 1));
    update.included.clear();
    fixture.pool.on_canonical(&update, &fixture.accounts);
    assert_eq!(fixture.best(), [rest]);
}

/// Accounts on an OP chain whose L1 has a base fee, gwei.
struct L1Chain {
    accounts: Accounts,
    base_fee: AtomicU64,
}

impl L1Chain {
    fn new() -> Self {
        Self { accounts: Accounts::default(), base_fee: AtomicU64::new(1) }
    }
}

fn l1_fee(spec: &ChainSpec, state: &L1Chain, tx: &Transaction) -> u128 {
    banyan_executor::l1_cost(spec, spec.genesis_header.timestamp, state, tx).unwrap().to()
}

impl StateSource for L1Chain {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        // The predeploy must be there; so all accounts are.
        let other = Account { nonce: 1, ..Default::default() };
        Ok(self.accounts.account(address)?.or(Some(other)))
    }
    fn storage(&self, _address: &Address, slot: U256) -> Result<U256, SourceError> {
        // Of the L1 attributes predeploy: the base fee, and its scalar in the middle of a word.
        Ok(match slot.to::<u64>() {
            1 => U256::from(self.base_fee.load(Ordering::Relaxed)) * U256::from(1_000_000_000),
            3 => U256::from(1_000_000) << 96,
            _ => U256::ZERO,
        })
    }
    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.accounts.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.accounts.block_hash(number)
    }
}

#[test]
fn on_an_op_chain_the_balance_covers_the_l1_fee_too() {
    let spec = Arc::new(ChainSpec::dev());
    let genesis = spec.genesis_header.clone();
    let pool = PoolHandle::new(Arc::clone(&spec), PoolConfig::default(), genesis.clone());
    let tx = TxEip1559 { chain_id: spec.chain_id, ..transfer(0, 1) };
    let tx = Transaction::Eip1559(sign(tx, &key(1)));
    let state = L1Chain::new();
    let l1_fee = l1_fee(&spec, &state, &tx);
    assert!(l1_fee > 0);

    let cost = 42_000_000_000_000 + l1_fee;
    state.accounts.set(address(&key(1)), 0, cost - 1);
    let error = pool.add(tx.clone(), None, &state).unwrap_err();
    let words = format!(
        "insufficient funds for gas * price + value: balance {}, tx cost {cost}, overshot 1",
        cost - 1
    );
    assert_eq!(error.to_string(), words);
    state.accounts.set(address(&key(1)), 0, cost);
    let hash = pool.add(tx, None, &state).unwrap();
    assert!(pool.get(&hash).unwrap().da_size >= 100);
}

#[test]
fn a_new_head_weighs_pooled_transactions_at_its_own_l1_fee() {
    let spec = Arc::new(ChainSpec::dev());
    let genesis = spec.genesis_header.clone();
    let pool = PoolHandle::new(Arc::clone(&spec), PoolConfig::default(), genesis.clone());
    let state = L1Chain::new();
    let transfers: Vec<_> = (0..2)
        .map(|nonce| TxEip1559 { chain_id: spec.chain_id, ..transfer(nonce, 1) })
        .map(|tx| Transaction::Eip1559(sign(tx, &key(1))))
        .collect();
    let one = 42_000_000_000_000 + l1_fee(&spec, &state, &transfers[0]);
    state.accounts.set(address(&key(1)), 0, 2 * one);
    for tx in &transfers {
        pool.add(tx.clone(), None, &state).unwrap();
    }
    let counts = || (pool.status().pending, pool.status().queued);
    assert_eq!(counts(), (2, 0));

    let update = CanonicalUpdate {
        head: genesis,
        reverted: vec![],
        included: vec![],
        changed: Some(vec![]),
    };
    let at_base_fee = |gwei| {
        state.base_fee.store(gwei, Ordering::Relaxed);
        pool.on_canonical(&update, &state);
        counts()
    };
    assert_eq!(at_base_fee(2), (1, 1), "together they cost more than the balance");
    assert_eq!(at_base_fee(1), (2, 0));
    assert_eq!(at_base_fee(1_000_000_000), (0, 0), "each alone costs more than the balance");
}

#[test]
fn a_known_sender_needs_no_state_unless_it_seems_too_poor_or_is_delegated() {
    let fixture = fixture();
    let pool = &fixture.pool;
    let check = |nonce, value: u128| {
        let tx = TxEip1559 { value: U256::from(value), ..transfer(nonce, 1) };
        pool.check(Transaction::Eip1559(sign(tx, &key(1))), None).unwrap()
    };
    assert!(pool.insert_known(&check(0, 0)).is_none());
    pool.insert(check(0, 0), &fixture.accounts).unwrap();
    assert!(pool.insert_known(&check(1, 0)).is_some());

    // It got richer, which the pool does not know.
    let poor = check(2, ETHER);
    assert!(pool.insert_known(&poor).is_none());
    fixture.accounts.set(address(&key(1)), 0, 3 * ETHER);
    pool.insert(poor, &fixture.accounts).unwrap();
    assert_eq!(fixture.status(), (3, 0));

    let update = fixture.block(5, 0, &[]);
    pool.on_canonical(&update, &fixture.accounts);
    assert!(pool.insert_known(&check(3, 0)).is_none(), "read at an earlier head");
    pool.insert(check(3, 0), &fixture.accounts).unwrap();
    assert!(pool.insert_known(&check(4, 0)).is_some());

    let code_hash = B256::repeat_byte(1);
    let account = Account { balance: U256::from(ETHER), code_hash, ..Default::default() };
    fixture.accounts.set_account(address(&key(2)), account);
    fixture.add(2, 0, 1);
    let raised = pool.check(signed_transfer(&key(2), 0, 3), None).unwrap();
    assert!(pool.insert_known(&raised).is_none(), "others may have spent its balance");
}

#[test]
fn an_op_chain_takes_no_blobs() {
    let spec = Arc::new(ChainSpec::dev());
    let genesis = spec.genesis_header.clone();
    let pool = PoolHandle::new(spec, PoolConfig::default(), genesis);
    let (tx, sidecar) = blob_tx(0, 5);
    let error = pool.add(tx, Some(sidecar), Accounts::default()).unwrap_err();
    let words = "transaction type not supported: tx type 3 not supported by this pool";
    assert_eq!(error.to_string(), words);
}

#[test]
fn an_account_that_others_emptied_or_moved_on_has_nothing_pending() {
    let fixture = fixture();
    let hashes = [1, 2, 3].map(|sender| fixture.add(sender, 0, 1));
    let [emptied, moved, spared] = [1, 2, 3].map(|sender| address(&key(sender)));
    fixture.accounts.set(emptied, 0, 0);
    fixture.accounts.set(moved, 1, ETHER);
    let on_head = |changed| {
        let head = head(2, 2, BASE_FEE);
        let update = CanonicalUpdate { head, reverted: vec![], included: vec![], changed };
        fixture.pool.on_canonical(&update, &fixture.accounts);
    };
    on_head(Some(vec![spared]));
    assert_eq!(fixture.best().len(), 3, "nobody has said that they changed");
    on_head(Some(vec![emptied]));
    assert_eq!(fixture.best().len(), 2);
    on_head(None);
    assert_eq!(fixture.best(), [hashes[2]]);
}
