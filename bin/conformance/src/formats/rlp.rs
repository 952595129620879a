//! RLPTests: encodings of strings, numbers and lists, and malformed input.

use std::collections::BTreeMap;

use alloy_rlp::{Encodable, Header};
use anyhow::{Context, bail, ensure};
use banyan_primitives::{Bytes, U256};
use serde::Deserialize;
use serde_json::Value;

use super::{Loaded, parse};
use crate::{Case, collect::FixtureFile};

/// Lists nested deeper are refused: this reader recurses.
const MAX_DEPTH: usize = 1024;

#[derive(Debug, Deserialize)]
struct RlpCase {
    #[serde(rename = "in")]
    input: Value,
    out: String,
}

/// One case per entry of the file.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let entries: BTreeMap<String, RlpCase> = parse(text)?;
    let cases = entries
        .into_iter()
        .map(|(name, case)| Case::new(format!("rlp/{name}"), "-", move |_| run(&case)));
    Ok(cases.collect::<Vec<_>>().into())
}

fn run(case: &RlpCase) -> anyhow::Result<()> {
    let bytes: Bytes = case.out.parse().context("out")?;
    match case.input.as_str() {
        Some("VALID") => check_document(&bytes),
        Some("INVALID") => match check_document(&bytes) {
            Ok(()) => bail!("malformed input was accepted"),
            Err(_) => Ok(()),
        },
        _ => {
            let mut encoded = Vec::new();
            encode(&case.input, &mut encoded)?;
            ensure!(encoded == bytes, "encoded as {}", Bytes::from(encoded));
            check_document(&bytes)
        }
    }
}

/// Encodes text, a number, a big number (`#` and decimal digits) or a list.
fn encode(value: &Value, out: &mut Vec<u8>) -> anyhow::Result<()> {
    match value {
        Value::String(text) => match text.strip_prefix('#') {
            Some(digits) => big_number(digits)?.as_slice().encode(out),
            None => text.as_bytes().encode(out),
        },
        Value::Number(number) => number.as_u64().context("a number")?.encode(out),
        Value::Array(items) => {
            let mut payload = Vec::new();
            items.iter().try_for_each(|item| encode(item, &mut payload))?;
            Header { list: true, payload_length: payload.len() }.encode(out);
            out.extend(payload);
        }
        other => bail!("cannot encode {other}"),
    }
    Ok(())
}

/// Big-endian bytes without leading zeros; the fixtures go beyond 256 bits by one.
fn big_number(digits: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10).context("a decimal digit")?;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.insert(0, u8::try_from(carry)?);
        }
    }
    debug_assert!(digits.len() > 70 || U256::from_str_radix(digits, 10).is_ok());
    Ok(bytes)
}

/// One item and nothing after it.
fn check_document(bytes: &[u8]) -> anyhow::Result<()> {
    let mut rest = bytes;
    check_item(&mut rest, 0)?;
    ensure!(rest.is_empty(), "{} bytes after the item", rest.len());
    Ok(())
}

fn check_item(bytes: &mut &[u8], depth: usize) -> anyhow::Result<()> {
    ensure!(depth < MAX_DEPTH, "lists nested too deep");
    let list = bytes.first().is_some_and(|byte| *byte >= 0xc0);
    let mut payload = Header::decode_bytes(bytes, list)?;
    while list && !payload.is_empty() {
        check_item(&mut payload, depth + 1)?;
    }
    Ok(())
}
