//! Sending transactions: into the pool, or on to the sequencer.

use std::{sync::Arc, time::Duration};

use alloy_consensus::{EthereumTxEnvelope, TxEip4844WithSidecar};
use banyan_chain::CanonicalChange;
use banyan_primitives::{B256, Bytes, Decodable2718, PooledSidecar, Transaction};
use jsonrpsee::{
    RpcModule,
    types::{ErrorObjectOwned, Params},
};
use serde_json::value::RawValue;
use tokio::sync::{
    Semaphore,
    broadcast::{Receiver, error::RecvError},
};

use super::tx::receipt_of;
use crate::{
    Sequencer,
    args::Args,
    error::{RpcError, RpcResult, code},
    quantity::Lenient,
    shared::{Shared, Weight},
};

/// First byte of a blob transaction (EIP-4844).
const BLOB_TX_TYPE: u8 = 3;
/// Longest transaction that is checked on the reactor, bytes.
const SMALL: usize = 2048;
/// Calls of one port that wait for a receipt at once; more are refused.
const MAX_WAITING: usize = 1024;

/// The sequencer's errors are handed on as they are.
type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods.
pub(super) fn register(module: &mut RpcModule<Shared>) {
    module
        .register_async_method("eth_sendRawTransaction", |params, shared, _| async move {
            let mut args = Args::new(&params)?;
            let encoded = args.required()?;
            args.end()?;
            send(&shared, encoded).await
        })
        .expect("method names are unique");
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    module
        .register_async_method("eth_sendRawTransactionSync", move |params, shared, _| {
            let waiting = waiting.clone();
            async move { send_and_wait(&shared, &params, &waiting).await }
        })
        .expect("method names are unique");
}

/// Takes a signed transaction into the pool, or hands it to the sequencer; gives its hash.
async fn send(shared: &Arc<Shared>, encoded: Bytes) -> Answer<B256> {
    match shared.context.config.sequencer.clone() {
        Some(sequencer) => forward(shared, &sequencer, encoded).await,
        None if encoded.len() > SMALL || encoded.first() == Some(&BLOB_TX_TYPE) => {
            let insert = move |shared: &Shared, _| {
                let (tx, sidecar) = decode_pooled(&encoded)?;
                insert(shared, tx, sidecar)
            };
            Ok(shared.read(Weight::Light, insert).await?)
        }
        None => Ok(send_small(shared, &encoded).await?),
    }
}

/// Recovery takes less time than handing it to another thread and back, as long as the transaction
/// is small. Only reading state is left to the blocking threads, if it is needed at all.
async fn send_small(shared: &Arc<Shared>, encoded: &[u8]) -> RpcResult<B256> {
    let (tx, sidecar) = decode_pooled(encoded)?;
    let checked = shared.context.pool.check(tx, sidecar)?;
    if let Some(hash) = shared.context.pool.insert_known(&checked) {
        return Ok(hash);
    }
    let insert = move |shared: &Shared, _| {
        let state = shared.view().state()?;
        Ok(shared.context.pool.insert(checked, state)?)
    };
    shared.read(Weight::Light, insert).await
}

fn insert(shared: &Shared, tx: Transaction, sidecar: Option<PooledSidecar>) -> RpcResult<B256> {
    Ok(shared.context.pool.add(tx, sidecar, shared.view().state()?)?)
}

/// What the sequencer refuses is refused; what it took may be kept here too.
async fn forward(shared: &Arc<Shared>, sequencer: &Sequencer, encoded: Bytes) -> Answer<B256> {
    let (tx, sidecar) = decode_pooled(&encoded)?;
    if sidecar.is_some() && shared.spec().is_op() {
        return Err(RpcError::server("transaction type not supported").into());
    }
    shared.context.pool.check_fee_cap(&tx).map_err(RpcError::from)?;
    let hash = sequencer.send_raw_transaction(&encoded).await?;
    if sequencer.retains() {
        let kept = shared.read(Weight::Light, move |shared, _| insert(shared, tx, sidecar)).await;
        if let Err(error) = kept {
            let error = error.message;
            tracing::warn!(target: "rpc", %hash, %error, "forwarded, but not kept in the pool");
        }
    }
    Ok(hash)
}

/// `(encoded transaction, most milliseconds to wait)`: sends and waits for the receipt (EIP-7966).
async fn send_and_wait(
    shared: &Arc<Shared>,
    params: &Params<'_>,
    waiting: &Semaphore,
) -> Answer<Box<RawValue>> {
    let mut args = Args::new(params)?;
    let encoded = args.required()?;
    let wish: Option<Lenient> = args.optional()?;
    args.end()?;
    let config = &shared.context.config;
    let wait = match wish {
        Some(Lenient(millis)) if millis > 0 => {
            Duration::from_millis(millis).min(config.max_sync_timeout)
        }
        _ => config.sync_timeout,
    };
    let _permit = waiting
        .try_acquire()
        .map_err(|_| RpcError::server("too many calls wait for a receipt, try again later"))?;
    // From before it is sent, so that its block cannot be missed.
    let changes = shared.context.chain.subscribe();
    let hash = send(shared, encoded).await?;
    match tokio::time::timeout(wait, mined(shared, hash, changes)).await {
        Ok(receipt) => Ok(receipt?),
        Err(_) => {
            let message = format!(
                "The transaction was added to the transaction pool but wasn't processed in {}",
                go_duration(wait)
            );
            let data = Some(Bytes::from(hash));
            Err(RpcError { data, ..RpcError::new(code::SYNC_TIMEOUT, message) }.into())
        }
    }
}

/// Waits until a transaction is in a block; gives its receipt.
async fn mined(
    shared: &Arc<Shared>,
    hash: B256,
    mut changes: Receiver<Arc<CanonicalChange>>,
) -> RpcResult<Box<RawValue>> {
    loop {
        match changes.recv().await {
            Ok(change) => {
                if change.included.iter().all(|block| block.index_of(&hash).is_none()) {
                    continue;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(RpcError::server("the node is stopping")),
        }
        // A further change may have taken it out again.
        let look_up = move |shared: &Shared, _| receipt_of(shared, hash);
        if let Some(receipt) = shared.read(Weight::Light, look_up).await? {
            return serde_json::value::to_raw_value(&receipt).map_err(RpcError::internal);
        }
    }
}

/// A duration as Go prints it, to the millisecond: geth's message says `1m0s`, `1.5s`, `200ms`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1_000 % 60, millis % 1_000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Blob transactions come with their blobs, all others as they stand in blocks. Deposits are never
/// sent.
fn decode_pooled(encoded: &[u8]) -> RpcResult<(Transaction, Option<PooledSidecar>)> {
    let malformed = |error| RpcError::server(format!("rlp: {error}"));
    match encoded.first() {
        None => Err(RpcError::server("typed transaction too short")),
        // Below 0xc0 the first byte is a type (EIP-2718).
        Some(0..0xc0) if encoded.len() == 1 => Err(RpcError::server("typed transaction too short")),
        Some(0 | 5..0xc0) => Err(RpcError::server("transaction type not supported")),
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
            Ok((tx, None))
        }
    }
}

/// A transaction as it is sent: blob transactions with either kind of sidecar.
type PooledEnvelope = EthereumTxEnvelope<TxEip4844WithSidecar<PooledSidecar>>;

#[cfg(test)]
mod tests {
    use banyan_primitives::{Encodable2718, TxDeposit, b256, bytes};

    use super::*;

    #[test]
    fn durations_read_as_in_geth() {
        let cases = [
            (0, "0s"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (20_000, "20s"),
            (60_000, "1m0s"),
            (3_661_005, "1h1m1.005s"),
        ];
        for (millis, text) in cases {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

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
        let error = decode_pooled(&[0x01]).unwrap_err();
        assert_eq!(error, RpcError::server("typed transaction too short"));
        let error = decode_pooled(&[0x05, 0xc0]).unwrap_err();
        assert_eq!(error, RpcError::server("transaction type not supported"));
        let error = decode_pooled(&[0x03, 0xc0]).unwrap_err();
        assert_eq!(error, RpcError::server("missing sidecar in blob transaction"));
    }
}
