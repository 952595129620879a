//! Transactions: look-up, receipts, sending.

use alloy_consensus::{EthereumTxEnvelope, TxEip4844WithSidecar};
use banyan_chain::TransactionLocation;
use banyan_primitives::{
    B256, Bytes, Decodable2718, Encodable2718, PooledSidecar, RecoveredBlock, Transaction,
};

use super::block::receipts_of;
use crate::{
    args::Args,
    block_id::BlockNumber,
    error::{RpcError, RpcResult},
    json::{Position, RpcReceipt, RpcTransaction, block_receipts},
    quantity::Quantity,
    shared::Shared,
};

/// First byte of a blob transaction (EIP-4844).
const BLOB_TX_TYPE: u8 = 3;

fn hash_argument(mut args: Args<'_>) -> RpcResult<B256> {
    let hash = args.hash()?;
    args.end()?;
    Ok(hash)
}

/// Mined or in the pool; null if neither.
pub(super) fn by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<RpcTransaction>> {
    let hash = hash_argument(args)?;
    let view = shared.view();
    if let Some(location) = view.transaction(&hash)? {
        return at(shared, &location.block, location.index);
    }
    let pooled = shared.context.pool.get(&hash);
    Ok(pooled.map(|tx| RpcTransaction::pending(&tx.tx, tx.sender)))
}

fn at(shared: &Shared, block: &RecoveredBlock, index: usize) -> RpcResult<Option<RpcTransaction>> {
    let Some((tx, sender)) = block.transactions().nth(index) else { return Ok(None) };
    // Only deposits need their receipt.
    let receipts = if tx.is_deposit() { Some(receipts_of(&shared.view(), block)?) } else { None };
    let receipt = receipts.as_ref().and_then(|receipts| receipts.get(index));
    let position = Position::new(&block.header, index);
    Ok(Some(RpcTransaction::mined(tx, sender, position, receipt)))
}

/// `(block hash, index)`
pub(super) fn by_block_hash(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<Option<RpcTransaction>> {
    let hash = args.hash()?;
    let index: Quantity = args.required()?;
    args.end()?;
    match shared.view().block_by_hash(&hash)? {
        Some(block) => at(shared, &block, to_index(index)),
        None => Ok(None),
    }
}

/// `(number or label, index)`
pub(super) fn by_block_number(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<Option<RpcTransaction>> {
    let number: BlockNumber = args.required()?;
    let index: Quantity = args.required()?;
    args.end()?;
    let view = shared.view();
    let Some(header) = number.header(&view)? else { return Ok(None) };
    match view.block_by_hash(&header.hash())? {
        Some(block) => at(shared, &block, to_index(index)),
        None => Ok(None),
    }
}

fn to_index(index: Quantity) -> usize {
    usize::try_from(index.0).unwrap_or(usize::MAX)
}

/// Null until mined.
pub(super) fn receipt(shared: &Shared, args: Args<'_>) -> RpcResult<Option<RpcReceipt>> {
    let hash = hash_argument(args)?;
    let view = shared.view();
    let Some(TransactionLocation { block, index }) = view.transaction(&hash)? else {
        return Ok(None);
    };
    let receipts = receipts_of(&view, &block)?;
    Ok(block_receipts(shared.spec(), &block, &receipts).into_iter().nth(index))
}

/// EIP-2718 bytes, mined or in the pool; null if neither.
pub(super) fn raw_by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Bytes>> {
    let hash = hash_argument(args)?;
    if let Some(TransactionLocation { block, index }) = shared.view().transaction(&hash)? {
        let tx = block.body.transactions.get(index);
        return Ok(tx.map(|tx| tx.encoded_2718().into()));
    }
    Ok(shared.context.pool.get(&hash).map(|tx| tx.tx.encoded_2718().into()))
}

/// Takes a signed transaction into the pool; gives its hash.
pub(super) fn send_raw(shared: &Shared, mut args: Args<'_>) -> RpcResult<B256> {
    let encoded: Bytes = args.required()?;
    args.end()?;
    let (tx, sidecar) = decode_pooled(&encoded)?;
    let view = shared.view();
    let hash = shared.context.pool.add(tx, sidecar, view.state()?)?;
    tracing::debug!(target: "rpc", %hash, "transaction taken in");
    Ok(hash)
}

/// Blob transactions come with their blobs, all others as they stand in blocks. Deposits are never
/// sent.
fn decode_pooled(encoded: &[u8]) -> RpcResult<(Transaction, Option<PooledSidecar>)> {
    let malformed = |error| RpcError::server(format!("rlp: {error}"));
    match encoded.first() {
        None => Err(RpcError::server("typed transaction too short")),
        Some(&BLOB_TX_TYPE) => {
            let envelope = PooledEnvelope::decode_2718_exact(encoded)
                .map_err(|_| RpcError::server("missing sidecar in blob transaction"))?;
            let EthereumTxEnvelope::Eip4844(signed) = envelope else {
                return Err(RpcError::server("transaction type not supported"));
            };
            let (tx, signature, hash) = signed.into_parts();
            let (tx, sidecar) = tx.into_parts();
            let signed = alloy_consensus::Signed::new_unchecked(tx, signature, hash);
            Ok((Transaction::Eip4844(signed), Some(sidecar)))
        }
        Some(_) => {
            let tx = Transaction::decode_2718_exact(encoded).map_err(malformed)?;
            if tx.is_deposit() {
                return Err(RpcError::server("transaction type not supported"));
            }
            Ok((tx, None))
        }
    }
}

/// A transaction as it is sent: blob transactions with either kind of sidecar.
type PooledEnvelope = EthereumTxEnvelope<TxEip4844WithSidecar<PooledSidecar>>;

#[cfg(test)]
mod tests {
    use banyan_primitives::{TxDeposit, b256, bytes};

    use super::*;

    #[test]
    fn a_sent_transaction_is_decoded() {
        // eth_sendRawTransaction/send-dynamic-fee-transaction of execution-apis.
        let encoded = bytes!(
            "0x02f892870c72dd9d5e883e018201f48401a2158b82ea60802ab73d602d80600a3d3981f3363d3d373d3d3\
d363d734d11c446473105a02b5c1ab9ebe9b03f33902a295af43d82803e903d91602b57fd5bf3c080a09e9f032e932e6536\
bc8de35b5939814d5fe2c1bcb76f06e399583c8c745ea95fa04fae7d7df659a70471ddfed6dba493a4f044a074a0bba6198\
bb6e2be0977b299"
        );
        let (tx, sidecar) = decode_pooled(&encoded).unwrap();
        assert!(sidecar.is_none());
        let expected = b256!("0x549cfaca862ca59157260fbe13b7ecf5cc353eb22632d10efbe5cca743871ef3");
        assert_eq!(*tx.hash(), expected);
    }

    #[test]
    fn deposits_and_nonsense_are_refused() {
        let deposit = Transaction::from(TxDeposit::default()).encoded_2718();
        let error = decode_pooled(&deposit).unwrap_err();
        assert_eq!(error, RpcError::server("transaction type not supported"));
        let error = decode_pooled(&[]).unwrap_err();
        assert_eq!(error, RpcError::server("typed transaction too short"));
        assert!(decode_pooled(&[0x02, 0xc0]).is_err());
        let error = decode_pooled(&[0x03, 0xc0]).unwrap_err();
        assert_eq!(error, RpcError::server("missing sidecar in blob transaction"));
    }
}
