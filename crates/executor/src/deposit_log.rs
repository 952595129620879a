//! Deposits to the beacon chain, read from the deposit contract's logs (EIP-6110).

use banyan_primitives::{Address, B256, Receipt, b256};

use crate::ExecutionError;

/// `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const DEPOSIT_EVENT: B256 =
    b256!("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// Fields of the event as ABI lays them out: (offset, length). Any other layout is refused.
const FIELDS: [(usize, usize); 5] = [
    (160, 48), // public key
    (256, 32), // withdrawal credentials
    (320, 8),  // amount
    (384, 96), // signature
    (512, 8),  // index
];
const EVENT_LENGTH: usize = 576;
const WORD: usize = 32;

/// The deposits of a block, concatenated: the data of its deposit request.
pub(crate) fn deposits(receipts: &[Receipt], contract: Address) -> Result<Vec<u8>, ExecutionError> {
    let mut out = Vec::new();
    let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
    for log in logs.filter(|log| log.address == contract) {
        if log.topics().first() != Some(&DEPOSIT_EVENT) {
            continue;
        }
        if append(&log.data.data, &mut out).is_none() {
            return Err(ExecutionError::InvalidBlock(
                "unable to parse deposit data: invalid layout of the deposit event".into(),
            ));
        }
    }
    Ok(out)
}

/// Appends the fields of one event; `None` if the layout differs from the contract's.
fn append(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if data.len() != EVENT_LENGTH {
        return None;
    }
    for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
        if word(data, index * WORD)? != offset || word(data, offset)? != length {
            return None;
        }
        let start = offset + WORD;
        out.extend_from_slice(data.get(start..start + length)?);
    }
    Some(())
}

/// The number in a 32-byte word; `None` if it is too large to be an offset here.
fn word(data: &[u8], at: usize) -> Option<usize> {
    let word = data.get(at..at + WORD)?;
    let (high, low) = word.split_at(WORD - 2);
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(usize::from(u16::from_be_bytes([low[0], low[1]])))
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Log, LogData, TxType, address};

    use super::*;

    const CONTRACT: Address = address!("0x00000000219ab540356cbb839cbe05303d7705fa");

    fn event() -> Vec<u8> {
        let mut data = vec![0; EVENT_LENGTH];
        for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
            data[index * WORD + 30..][..2].copy_from_slice(&(offset as u16).to_be_bytes());
            data[offset + 31] = length as u8;
            data[offset + WORD..][..length].fill(index as u8 + 1);
        }
        data
    }

    fn receipt(topic: B256, data: Vec<u8>) -> Receipt {
        let data = LogData::new_unchecked(vec![topic], data.into());
        Receipt {
            tx_type: TxType::Legacy,
            success: true,
            post_state: None,
            cumulative_gas_used: 0,
            logs: vec![Log { address: CONTRACT, data }],
            deposit_nonce: None,
            deposit_receipt_version: None,
        }
    }

    #[test]
    fn fields_are_concatenated() {
        let out = deposits(&[receipt(DEPOSIT_EVENT, event())], CONTRACT).unwrap();
        assert_eq!(out.len(), 192);
        let expected = [vec![1; 48], vec![2; 32], vec![3; 8], vec![4; 96], vec![5; 8]].concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn another_event_of_the_contract_is_no_deposit() {
        let out = deposits(&[receipt(B256::ZERO, vec![1, 2, 3])], CONTRACT).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn a_changed_layout_makes_the_block_invalid() {
        let mut shifted = event();
        shifted[31] = 161;
        let mut longer = event();
        longer[160 + 31] = 49;
        for data in [shifted, longer, vec![0; EVENT_LENGTH - 1], event()[..575].to_vec()] {
            let error = deposits(&[receipt(DEPOSIT_EVENT, data)], CONTRACT).unwrap_err();
            assert!(matches!(error, ExecutionError::InvalidBlock(_)), "{error}");
        }
    }
}
