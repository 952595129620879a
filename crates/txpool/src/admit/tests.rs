use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::Authorization;
use banyan_chainspec::{Fork, Rules};
use banyan_primitives::{Address, Encodable2718, Transaction, U256};
use secp256k1::SecretKey;

use super::*;
use crate::{
    testing::{BASE_FEE, CHAIN_ID, ETHER, GAS_LIMIT, address, key, sign, sign_hash, transfer},
    validate::Head,
};

/// A pool whose senders all have the same account.
struct Pool {
    state: State,
    config: PoolConfig,
    account: Account,
    arrivals: u64,
}

impl Pool {
    fn new(config: PoolConfig) -> Self {
        let rules = Rules { fork: Fork::Prague, op: None, blobs: None };
        let head = Head { rules, timestamp: 0, gas_limit: GAS_LIMIT, base_fee: BASE_FEE };
        let account = Account { balance: U256::from(ETHER), ..Default::default() };
        Self { state: State::new(head), config, account, arrivals: 0 }
    }

    fn add(&mut self, key: &SecretKey, tx: Transaction) -> Result<(), PoolError> {
        self.arrivals += 1;
        let encoded = tx.encoded_2718();
        let tx = PooledTransaction::new(tx, &encoded, address(key), None, false, self.arrivals);
        let entry = Entry::new(tx, U256::ZERO);
        admit(&mut self.state, &self.config, entry, self.account).map(drop)
    }

    fn transfer(&mut self, key: &SecretKey, tx: TxEip1559) -> Result<(), PoolError> {
        self.add(key, Transaction::Eip1559(sign(tx, key)))
    }

    /// Adds a transfer and compares the refusal.
    fn refused(&mut self, key: &SecretKey, tx: TxEip1559, words: &str) {
        assert_eq!(self.transfer(key, tx).unwrap_err().to_string(), words);
    }

    fn counts(&self) -> (usize, usize) {
        (self.state.pending().count, self.state.queued().count)
    }
}

fn pool() -> Pool {
    Pool::new(PoolConfig::default())
}

fn set_code(nonce: u64, sender: &SecretKey, authority: &SecretKey) -> Transaction {
    let authorization =
        Authorization { chain_id: U256::from(CHAIN_ID), address: Address::ZERO, nonce: 0 };
    let signature = sign_hash(authorization.signature_hash(), authority);
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 2 * u128::from(BASE_FEE),
        authorization_list: vec![authorization.into_signed(signature)],
        ..Default::default()
    };
    Transaction::Eip7702(sign(tx, sender))
}

#[test]
fn used_nonces_are_refused() {
    let mut pool = pool();
    pool.account.nonce = 5;
    pool.refused(&key(1), transfer(3, 1), "nonce too low: next nonce 5, tx nonce 3");
    pool.transfer(&key(1), transfer(5, 1)).unwrap();
    pool.refused(&key(1), transfer(5, 1), "already known");
}

#[test]
fn the_balance_covers_each_transaction_and_all_together() {
    let mut pool = pool();
    pool.account.balance = U256::ZERO;
    let one = TxEip1559 { value: U256::from(1), ..Default::default() };
    let short = "insufficient funds for gas * price + value: balance";
    pool.refused(&key(1), one, &format!("{short} 0, tx cost 1, overshot 1"));

    // A transfer with a tip of one gwei costs 42,000 gwei at most.
    pool.account.balance = U256::from(100_000_000_000_000_u64);
    pool.transfer(&key(1), transfer(0, 1)).unwrap();
    pool.transfer(&key(1), transfer(1, 1)).unwrap();
    let words = format!(
        "{short} 100000000000000, queued cost 84000000000000, tx cost 42000000000000, overshot \
         26000000000000"
    );
    pool.refused(&key(1), transfer(2, 1), &words);
    let words = format!(
        "{short} 100000000000000, queued cost 84000000000000, tx bumped 42000000000000, overshot \
         26000000000000"
    );
    pool.refused(&key(1), transfer(1, 3), &words);
    assert_eq!(pool.counts(), (2, 0));
}

#[test]
fn gaps_wait_until_they_are_filled() {
    let mut pool = pool();
    pool.transfer(&key(1), transfer(1, 1)).unwrap();
    pool.transfer(&key(1), transfer(2, 1)).unwrap();
    assert_eq!(pool.counts(), (0, 2));
    pool.transfer(&key(1), transfer(0, 1)).unwrap();
    assert_eq!(pool.counts(), (3, 0));
    let low = TxEip1559 { max_fee_per_gas: 1, max_priority_fee_per_gas: 1, ..transfer(3, 1) };
    pool.transfer(&key(1), low).unwrap();
    pool.transfer(&key(1), transfer(4, 1)).unwrap();
    assert_eq!(pool.counts(), (3, 2));
}

#[test]
fn a_replacement_raises_both_fees_by_a_tenth() {
    let mut pool = pool();
    let old = TxEip1559 {
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 100,
        ..transfer(0, 1)
    };
    pool.transfer(&key(1), old.clone()).unwrap();
    let words = "replacement transaction underpriced";
    for (cap, tip) in [(2_200_000_000, 109), (2_199_999_999, 110), (2_000_000_000, 100)] {
        let tx = TxEip1559 {
            max_fee_per_gas: cap,
            max_priority_fee_per_gas: tip,
            value: U256::from(1),
            ..old.clone()
        };
        pool.refused(&key(1), tx, words);
    }
    let tx =
        TxEip1559 { max_fee_per_gas: 2_200_000_000, max_priority_fee_per_gas: 110, ..old.clone() };
    pool.transfer(&key(1), tx).unwrap();
    assert_eq!(pool.counts(), (1, 0));
    let left = Transaction::Eip1559(sign(old, &key(1)));
    assert!(pool.state.get(left.hash()).is_none());
    assert_eq!(pool.state.recent.sender(left.hash()), Some(address(&key(1))));
}

#[test]
fn a_sender_lets_only_so_many_wait() {
    let mut pool = Pool::new(PoolConfig { max_account_slots: 2, ..Default::default() });
    for nonce in 0..5 {
        pool.transfer(&key(1), transfer(nonce, 1)).unwrap();
    }
    pool.transfer(&key(1), transfer(6, 1)).unwrap();
    pool.transfer(&key(1), transfer(7, 1)).unwrap();
    pool.refused(&key(1), transfer(8, 1), "account limit exceeded: pooled 7 txs");
    pool.transfer(&key(1), transfer(7, 2)).unwrap();
    pool.transfer(&key(1), transfer(5, 1)).unwrap();
    assert_eq!(pool.counts(), (8, 0));
}

#[test]
fn a_full_pool_keeps_the_best_tips() {
    let mut pool = Pool::new(PoolConfig { pending_max_count: 2, ..Default::default() });
    pool.transfer(&key(1), transfer(0, 5)).unwrap();
    pool.transfer(&key(1), transfer(1, 3)).unwrap();
    pool.refused(&key(2), transfer(0, 3), "transaction underpriced");
    assert_eq!(pool.counts(), (2, 0));
    pool.transfer(&key(2), transfer(0, 4)).unwrap();
    assert_eq!(pool.counts(), (2, 0));
    assert_eq!(pool.state.sender(&address(&key(1))).unwrap().txs().len(), 1);
    // Nothing is lost to a newcomer that is refused in the end.
    pool.config.pending_max_bytes = pool.state.pending().bytes;
    let large = TxEip1559 { input: vec![1; 100].into(), ..transfer(0, 4) };
    pool.refused(&key(3), large, "transaction underpriced");
    assert_eq!(pool.counts(), (2, 0));
}

#[test]
fn waiting_transactions_have_limits_of_their_own() {
    let mut pool = Pool::new(PoolConfig { queued_max_count: 1, ..Default::default() });
    pool.transfer(&key(1), transfer(1, 5)).unwrap();
    pool.refused(&key(2), transfer(1, 5), "transaction underpriced");
    pool.transfer(&key(2), transfer(1, 6)).unwrap();
    assert!(pool.state.sender(&address(&key(1))).is_none());
    pool.transfer(&key(1), transfer(0, 1)).unwrap();
    assert_eq!(pool.counts(), (1, 1));
}

#[test]
fn a_delegated_account_has_one_place() {
    let mut pool = pool();
    pool.account.code_hash = banyan_primitives::B256::repeat_byte(1);
    pool.refused(&key(1), transfer(1, 1), "gapped-nonce tx from delegated accounts");
    pool.transfer(&key(1), transfer(0, 1)).unwrap();
    let words = "in-flight transaction limit reached for delegated accounts";
    pool.refused(&key(1), transfer(1, 1), words);
    pool.transfer(&key(1), transfer(0, 3)).unwrap();
}

#[test]
fn a_delegated_account_whose_transactions_wait_may_fill_the_gap() {
    let mut pool = pool();
    pool.transfer(&key(1), transfer(2, 1)).unwrap();
    pool.account.code_hash = banyan_primitives::B256::repeat_byte(1);
    pool.refused(&key(1), transfer(1, 1), "gapped-nonce tx from delegated accounts");
    pool.refused(&key(1), transfer(2, 3), "gapped-nonce tx from delegated accounts");
    pool.transfer(&key(1), transfer(0, 1)).unwrap();
    assert_eq!(pool.counts(), (1, 1));
}

#[test]
fn an_account_about_to_be_delegated_has_one_place() {
    let mut pool = pool();
    pool.add(&key(1), set_code(0, &key(1), &key(2))).unwrap();
    pool.transfer(&key(2), transfer(0, 1)).unwrap();
    let words = "in-flight transaction limit reached for delegated accounts";
    pool.refused(&key(2), transfer(1, 1), words);

    pool.transfer(&key(3), transfer(0, 1)).unwrap();
    pool.transfer(&key(3), transfer(1, 1)).unwrap();
    let error = pool.add(&key(4), set_code(0, &key(4), &key(3))).unwrap_err();
    assert_eq!(error.to_string(), "authority already reserved");

    // The limit ends with the transaction.
    let hash = *set_code(0, &key(1), &key(2)).hash();
    pool.state.take(&hash).unwrap();
    pool.transfer(&key(2), transfer(1, 1)).unwrap();
}
