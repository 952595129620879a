//! What a caller learns of a call that did not succeed.

use banyan_executor::{CallOutcome, CallStatus};
use banyan_primitives::{Bytes, U256};

use crate::error::{RpcError, RpcResult, code};

/// Selector of Solidity's `Error(string)`.
const ERROR_SELECTOR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of Solidity's `Panic(uint256)`.
const PANIC_SELECTOR: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

/// The output of a call that succeeded, else geth's error.
pub(super) fn output(outcome: CallOutcome) -> RpcResult<Bytes> {
    match outcome.status {
        CallStatus::Success => Ok(outcome.output),
        CallStatus::Revert => Err(reverted(outcome.output)),
        CallStatus::Halt(reason) => Err(RpcError::server(reason)),
    }
}

/// `execution reverted`, with the reason if the data tells one.
pub(super) fn reverted(data: Bytes) -> RpcError {
    let message = match reason(&data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    RpcError { code: code::REVERT, message: message.into(), data: Some(data) }
}

fn reason(data: &[u8]) -> Option<String> {
    let (selector, rest) = data.split_first_chunk::<4>()?;
    match *selector {
        ERROR_SELECTOR => abi_string(rest),
        PANIC_SELECTOR => {
            let code = U256::from_be_slice(rest.get(..32)?);
            Some(
                panic_reason(code)
                    .map_or_else(|| format!("unknown panic code: {code:#x}"), ToOwned::to_owned),
            )
        }
        _ => None,
    }
}

/// The only argument of an ABI call, a string.
fn abi_string(data: &[u8]) -> Option<String> {
    let word = |at: usize| {
        let bytes = data.get(at..at.checked_add(32)?)?;
        usize::try_from(U256::from_be_slice(bytes)).ok()
    };
    let offset = word(0)?;
    let length = word(offset)?;
    let start = offset.checked_add(32)?;
    let text = data.get(start..start.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn panic_reason(code: U256) -> Option<&'static str> {
    Some(match u8::try_from(code).ok()? {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use banyan_primitives::bytes;

    use super::*;

    #[test]
    fn reasons_of_the_fixtures_are_found() {
        let cases = [
            (
                bytes!(
                    "0x08c379a0000000000000000000000000000000000000000000000000000000000000002000\
0000000000000000000000000000000000000000000000000000000000000a75736572206572726f72"
                ),
                "execution reverted: user error",
            ),
            (
                bytes!(
                    "0x4e487b71000000000000000000000000000000000000000000000000000000000000\
0001"
                ),
                "execution reverted: assert(false)",
            ),
            (bytes!("0x77726f6e672d63616c6c6461746173697a65"), "execution reverted"),
            (bytes!("0x"), "execution reverted"),
        ];
        for (data, message) in cases {
            let error = reverted(data.clone());
            assert_eq!((error.code, &*error.message), (code::REVERT, message));
            assert_eq!(error.data, Some(data));
        }
    }

    #[test]
    fn lying_lengths_are_survived() {
        let mut data = ERROR_SELECTOR.to_vec();
        data.extend([0xff; 64]);
        assert_eq!(reverted(data.into()).message, "execution reverted");
        let mut data = PANIC_SELECTOR.to_vec();
        data.extend([0xff; 32]);
        assert!(reverted(data.into()).message.contains("unknown panic code: 0xffff"));
        assert_eq!(reverted(PANIC_SELECTOR.to_vec().into()).message, "execution reverted");
    }
}
