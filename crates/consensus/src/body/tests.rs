use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use banyan_primitives::{
    BlockBody, Bytes, EMPTY_ROOT_HASH, Header, Sealable, Signature, TxDeposit, U256, Withdrawal,
    Withdrawals,
};

use super::*;
use crate::testing::{ethereum, merged, optimism};

fn signature() -> Signature {
    Signature::new(U256::from(1), U256::from(2), false)
}

fn sign<T: SignableTransaction<Signature>>(
    variant: fn(Signed<T>) -> Transaction,
    tx: T,
) -> Transaction {
    variant(tx.into_signed(signature()))
}

fn legacy(chain_id: Option<u64>) -> Transaction {
    sign(Transaction::Legacy, TxLegacy { chain_id, ..Default::default() })
}

fn blob(count: usize, version: u8) -> Transaction {
    let hash = B256::repeat_byte(version);
    let blob_versioned_hashes = vec![hash; count];
    sign(
        Transaction::Eip4844,
        TxEip4844 { chain_id: 1, blob_versioned_hashes, ..Default::default() },
    )
}

fn set_code(authorizations: usize) -> Transaction {
    let inner = Authorization { chain_id: U256::from(1), address: Default::default(), nonce: 0 };
    let signed = SignedAuthorization::new_unchecked(inner, 0, U256::from(1), U256::from(1));
    let authorization_list = vec![signed; authorizations];
    sign(Transaction::Eip7702, TxEip7702 { chain_id: 1, authorization_list, ..Default::default() })
}

fn deposit() -> Transaction {
    TxDeposit::default().into()
}

/// A block whose header fits its body.
fn block(spec: &ChainSpec, transactions: Vec<Transaction>) -> SealedBlock {
    let (number, timestamp) = (10, 100);
    let merged = spec.terminal_total_difficulty.is_some();
    let rules = spec.rules(number, timestamp, merged);
    let blobs: usize =
        transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).map(<[_]>::len).sum();
    let header = Header {
        number,
        timestamp,
        difficulty: if merged { U256::ZERO } else { U256::from(1) },
        transactions_root: roots::transactions_root(&transactions),
        ommers_hash: roots::ommers_hash(&[]),
        withdrawals_root: rules.is(Fork::Shanghai).then_some(EMPTY_ROOT_HASH),
        blob_gas_used: rules.is(Fork::Cancun).then_some(blobs as u64 * DATA_GAS_PER_BLOB),
        ..Default::default()
    };
    let withdrawals = rules.is(Fork::Shanghai).then(Withdrawals::default);
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    SealedBlock { header: header.seal_slow(), body }
}

/// The block with another header.
fn with_header(block: SealedBlock, change: impl FnOnce(&mut Header)) -> SealedBlock {
    let mut header = block.header.into_inner();
    change(&mut header);
    SealedBlock { header: header.seal_slow(), body: block.body }
}

fn refused(spec: &ChainSpec, block: &SealedBlock, reason: &str) {
    let error = validate_body(spec, block).expect_err(reason).to_string();
    assert!(error.contains(reason), "wanted {reason:?}, got {error:?}");
}

#[test]
fn transaction_types_are_allowed_from_their_fork_on() {
    let access_list = sign(Transaction::Eip2930, TxEip2930 { chain_id: 1, ..Default::default() });
    let dynamic_fee = sign(Transaction::Eip1559, TxEip1559 { chain_id: 1, ..Default::default() });
    let cases = [
        (legacy(Some(1)), ethereum(&[("byzantiumBlock", 0)]), merged(&[])),
        (access_list, ethereum(&[("istanbulBlock", 0)]), ethereum(&[("berlinBlock", 0)])),
        (dynamic_fee, ethereum(&[("berlinBlock", 0)]), ethereum(&[("londonBlock", 0)])),
        (blob(1, 1), merged(&["shanghaiTime"]), merged(&["cancunTime"])),
        (set_code(1), merged(&["cancunTime"]), merged(&["pragueTime"])),
        (deposit(), merged(&["osakaTime"]), optimism("regolithTime")),
    ];
    for (index, (tx, before, since)) in cases.into_iter().enumerate() {
        assert_eq!(validate_body(&since, &block(&since, vec![tx.clone()])), Ok(()), "{index}");
        if index > 0 {
            refused(&before, &block(&before, vec![tx]), "transaction type not supported");
        }
    }
    let op = optimism("karstTime");
    refused(&op, &block(&op, vec![blob(1, 1)]), "transaction type not supported: 3");
}

#[test]
fn signatures_are_of_this_chain_and_in_range() {
    let spec = merged(&["osakaTime"]);
    assert_eq!(validate_body(&spec, &block(&spec, vec![legacy(None)])), Ok(()));
    refused(
        &spec,
        &block(&spec, vec![legacy(Some(2))]),
        "invalid chain id for signer: have 2 want 1",
    );
    let high = Signature::new(U256::from(1), U256::MAX >> 1, false);
    let high = Transaction::Legacy(TxLegacy::default().into_signed(high));
    refused(&spec, &block(&spec, vec![high.clone()]), "high s");
    let frontier = ethereum(&[]);
    assert_eq!(validate_body(&frontier, &block(&frontier, vec![high])), Ok(()));
    let homestead = ethereum(&[("homesteadBlock", 0)]);
    refused(&homestead, &block(&homestead, vec![legacy(Some(1))]), "before EIP-155");
}

#[test]
fn blob_transactions_carry_proper_hashes() {
    let cancun = merged(&["cancunTime"]);
    refused(&cancun, &block(&cancun, vec![blob(0, 1)]), "missing blob hashes");
    refused(&cancun, &block(&cancun, vec![blob(2, 2)]), "blob 0 hash version mismatch (have 2");
    let prague = merged(&["pragueTime"]);
    assert_eq!(validate_body(&prague, &block(&prague, vec![blob(7, 1)])), Ok(()));
    let osaka = merged(&["osakaTime"]);
    assert_eq!(validate_body(&osaka, &block(&osaka, vec![blob(6, 1)])), Ok(()));
    refused(&osaka, &block(&osaka, vec![blob(7, 1)]), "too many blobs (have 7, max 6)");
    let wrong = with_header(block(&osaka, vec![blob(2, 1)]), |h| h.blob_gas_used = Some(0));
    refused(&osaka, &wrong, "blob gas used mismatch (header 0, calculated 262144)");
}

#[test]
fn set_code_transactions_authorize_someone() {
    let spec = merged(&["pragueTime"]);
    refused(&spec, &block(&spec, vec![set_code(0)]), "empty auth list");
}

#[test]
fn roots_are_those_of_the_lists() {
    let spec = merged(&["osakaTime"]);
    let good = block(&spec, vec![legacy(Some(1))]);
    let wrong = |change: fn(&mut Header)| with_header(good.clone(), change);
    refused(&spec, &wrong(|h| h.transactions_root = B256::ZERO), "transaction root hash mismatch");
    refused(&spec, &wrong(|h| h.ommers_hash = B256::ZERO), "uncle root hash mismatch");
    refused(&spec, &wrong(|h| h.withdrawals_root = Some(B256::ZERO)), "withdrawals root hash");
    let mut with_ommer = good.clone();
    with_ommer.body.ommers.push(Header::default());
    refused(&spec, &with_ommer, "too many uncles");
}

#[test]
fn withdrawals_are_listed_since_shanghai_and_empty_on_op_chains() {
    let some = |spec: &ChainSpec, list: Option<Vec<Withdrawal>>| {
        let mut block = block(spec, vec![]);
        block.body.withdrawals = list.map(Withdrawals::new);
        block
    };
    let (paris, shanghai) = (merged(&[]), merged(&["shanghaiTime"]));
    refused(&paris, &some(&paris, Some(vec![])), "withdrawals present in block body");
    refused(&shanghai, &some(&shanghai, None), "missing withdrawals in block body");
    refused(&shanghai, &some(&shanghai, Some(vec![Withdrawal::default()])), "withdrawals root");
    for fork in ["canyonTime", "isthmusTime"] {
        let op = optimism(fork);
        refused(&op, &some(&op, Some(vec![Withdrawal::default()])), "OP block");
        refused(&op, &some(&op, None), "missing withdrawals");
    }
}

/// Since Isthmus the header's field is the storage root of the message passer.
#[test]
fn the_withdrawals_root_is_not_that_of_the_list_since_isthmus() {
    let (canyon, isthmus) = (optimism("canyonTime"), optimism("isthmusTime"));
    let other = |spec: &ChainSpec| {
        with_header(block(spec, vec![deposit()]), |h| h.withdrawals_root = Some(B256::ZERO))
    };
    refused(&canyon, &other(&canyon), "withdrawals root hash mismatch");
    assert_eq!(validate_body(&isthmus, &other(&isthmus)), Ok(()));
}

#[test]
fn the_size_in_rlp_is_bounded_since_osaka_on_ethereum() {
    let filled = |spec: &ChainSpec, bytes: usize| {
        let input = Bytes::from(vec![1; bytes]);
        let tx = sign(
            Transaction::Legacy,
            TxLegacy { chain_id: Some(spec.chain_id), input, ..Default::default() },
        );
        block(spec, vec![tx])
    };
    let osaka = merged(&["osakaTime"]);
    let overhead = rlp_length(&filled(&osaka, 1 << 20)) - (1 << 20);
    let fits = filled(&osaka, MAX_BLOCK_BYTES - overhead);
    assert_eq!(rlp_length(&fits), MAX_BLOCK_BYTES);
    assert_eq!(rlp_length(&fits), alloy_rlp::encode(fits.to_block()).len());
    assert_eq!(validate_body(&osaka, &fits), Ok(()));
    let one_more = MAX_BLOCK_BYTES - overhead + 1;
    refused(&osaka, &filled(&osaka, one_more), "block RLP-encoded size exceeds maximum");
    for spec in [merged(&["pragueTime"]), optimism("karstTime")] {
        assert_eq!(validate_body(&spec, &filled(&spec, one_more)), Ok(()));
    }
}
