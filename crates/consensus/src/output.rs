use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use banyan_chainspec::{ChainSpec, Fork, OpFork};
use banyan_primitives::{Header, Receipt, Requests, roots};

use crate::{InvalidBlock, error::check_hash};

/// What execution found, to be held against the header.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionResult<'a> {
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Receipts in order.
    pub receipts: &'a [Receipt],
    /// Requests (EIP-7685); `None` before Prague.
    pub requests: Option<&'a Requests>,
    /// Blob gas, or the DA footprint since Jovian.
    pub blob_gas_used: u64,
}

/// Checks gas used, receipts root, bloom, requests hash and DA footprint. (State roots and the OP
/// withdrawals root belong to `commitment`'s caller.)
pub fn validate_output(
    spec: &ChainSpec,
    header: &Header,
    result: &ExecutionResult<'_>,
) -> Result<(), InvalidBlock> {
    if header.gas_used != result.gas_used {
        return Err(InvalidBlock::rule(format!(
            "invalid gas used (remote: {} local: {})",
            header.gas_used, result.gas_used
        )));
    }
    let rules = spec.rules_of(header);
    let footprint = rules.is_op(OpFork::Jovian).then_some(result.blob_gas_used);
    if let Some(footprint) = footprint.filter(|used| header.blob_gas_used != Some(*used)) {
        return Err(InvalidBlock::rule(format!(
            "invalid DA footprint in blobGasUsed (remote: {} local: {footprint})",
            header.blob_gas_used.unwrap_or_default()
        )));
    }
    let (receipts, bloom) = roots::receipts_root_and_bloom(result.receipts);
    if header.logs_bloom != bloom {
        return Err(InvalidBlock::rule("invalid bloom: not that of the receipts"));
    }
    check_hash("receipt root hash", header.receipts_root, receipts)?;
    if rules.is(Fork::Prague) {
        let computed = result.requests.map_or(EMPTY_REQUESTS_HASH, Requests::requests_hash);
        check_hash("requests hash", header.requests_hash.unwrap_or_default(), computed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{B256, Bloom, Bytes, EMPTY_ROOT_HASH, Log, LogData, TxType};

    use super::*;
    use crate::testing::{merged, optimism};

    fn receipt(nonce: Option<u64>, version: Option<u64>) -> Receipt {
        let data = LogData::new_unchecked(vec![B256::repeat_byte(1)], Bytes::new());
        Receipt {
            tx_type: TxType::Deposit,
            success: true,
            post_state: None,
            cumulative_gas_used: 21_000,
            logs: vec![Log { data, ..Default::default() }],
            deposit_nonce: nonce,
            deposit_receipt_version: version,
        }
    }

    fn check(
        fork: &str,
        change: impl FnOnce(&mut Header),
        requests: Option<&Requests>,
    ) -> Result<(), String> {
        let receipts = [receipt(Some(4), Some(1))];
        let (receipts_root, logs_bloom) = roots::receipts_root_and_bloom(&receipts);
        let mut header = Header {
            timestamp: 100,
            gas_used: 21_000,
            receipts_root,
            logs_bloom,
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            blob_gas_used: Some(700),
            ..Default::default()
        };
        change(&mut header);
        let result =
            ExecutionResult { gas_used: 21_000, receipts: &receipts, requests, blob_gas_used: 700 };
        let spec = if fork.starts_with("osaka") { merged(&[fork]) } else { optimism(fork) };
        validate_output(&spec, &header, &result).map_err(|error| error.to_string())
    }

    #[test]
    fn what_execution_found_must_stand_in_the_header() {
        let refused = |reason: &str, change: fn(&mut Header)| {
            let error = check("jovianTime", change, None).unwrap_err();
            assert!(error.contains(reason), "{error}");
        };
        assert_eq!(check("jovianTime", |_| (), None), Ok(()));
        refused("invalid gas used (remote: 1 local: 21000)", |h| h.gas_used = 1);
        refused("receipt root hash mismatch", |h| h.receipts_root = EMPTY_ROOT_HASH);
        refused("invalid bloom", |h| h.logs_bloom = Bloom::ZERO);
        refused("requests hash mismatch", |h| h.requests_hash = Some(B256::ZERO));
        refused("DA footprint", |h| h.blob_gas_used = Some(701));
        assert_eq!(check("isthmusTime", |h| h.blob_gas_used = Some(0), None), Ok(()));
    }

    #[test]
    fn requests_are_hashed_since_prague() {
        let requests = Requests::from_requests([Bytes::from_static(&[1, 2, 3])]);
        assert!(check("osakaTime", |_| (), Some(&requests)).is_err());
        let hash = requests.requests_hash();
        assert_eq!(check("osakaTime", |h| h.requests_hash = Some(hash), Some(&requests)), Ok(()));
        assert_eq!(check("graniteTime", |h| h.requests_hash = None, None), Ok(()));
    }

    /// Between Regolith and Canyon op-geth left the deposit nonce out of the root.
    #[test]
    fn the_deposit_nonce_is_part_of_the_root_since_canyon_only() {
        let root = |nonce, version| roots::receipts_root(&[receipt(nonce, version)]);
        assert_eq!(root(Some(4), None), root(None, None));
        assert_ne!(root(Some(4), Some(1)), root(None, None));
    }
}
