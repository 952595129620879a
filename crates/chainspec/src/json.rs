//! The lenient lexical forms of genesis files: numbers as hex or decimal strings or as JSON
//! numbers, hex with or without `0x`.

use std::{borrow::Cow, fmt};

use banyan_primitives::{Address, B256, Bytes, U256, alloy_primitives::hex};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// An unsigned number in any form that genesis files use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) U256);

impl Quantity {
    /// The number, if it fits 64 bits.
    pub(crate) fn to_u64(self) -> Option<u64> {
        self.0.try_into().ok()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an unsigned number, or a string with one in hex (0x) or decimal")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity(U256::from(value)))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Quantity, E> {
                parse_quantity(value)
                    .map(Quantity)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

fn parse_quantity(text: &str) -> Option<U256> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() {
        return Some(U256::ZERO);
    }
    // `from_str_radix` also skips underscores, which no genesis file may contain.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    U256::from_str_radix(digits, radix).ok()
}

fn hex_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    let padded =
        if digits.len() % 2 == 0 { Cow::from(digits) } else { format!("0{digits}").into() };
    hex::decode(padded.as_ref())
        .map_err(|error| de::Error::custom(format!("{error} in {:.80}", text)))
}

/// An address, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HexAddress(pub(crate) Address);

impl<'de> Deserialize<'de> for HexAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex_string(deserializer)?;
        let address = Address::try_from(bytes.as_slice())
            .map_err(|_| de::Error::custom(format!("address of {} bytes", bytes.len())))?;
        Ok(Self(address))
    }
}

/// A word of at most 32 bytes, padded with zeros on the left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HexWord(pub(crate) B256);

impl<'de> Deserialize<'de> for HexWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex_string(deserializer)?;
        if bytes.len() > 32 {
            return Err(de::Error::custom(format!("word of {} bytes", bytes.len())));
        }
        Ok(Self(B256::left_padding_from(&bytes)))
    }
}

/// Bytes in hex, with or without `0x`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HexBytes(pub(crate) Bytes);

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_string(deserializer).map(|bytes| Self(bytes.into()))
    }
}

/// Puts quotes around bare integers of 20 digits and more, which a JSON parser would round
/// (mainnet's terminal total difficulty is written as such a number).
pub(crate) fn quote_big_integers(json: &str) -> Cow<'_, str> {
    const LARGEST_PLAIN: usize = 19;
    let bytes = json.as_bytes();
    let mut quoted = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'0'..=b'9' => {
                let start = at;
                at += bytes[at..].iter().take_while(|b| is_number_byte(**b)).count();
                let digits_only = bytes[start..at].iter().all(u8::is_ascii_digit);
                if digits_only && at - start > LARGEST_PLAIN {
                    quoted.push_str(&json[copied..start]);
                    quoted.extend(['"']);
                    quoted.push_str(&json[start..at]);
                    quoted.extend(['"']);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return json.into();
    }
    quoted.push_str(&json[copied..]);
    quoted.into()
}

fn is_number_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
}

/// Index after the closing quote of the string that opens at `open`.
fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(json: &str) -> Option<U256> {
        serde_json::from_str::<Quantity>(&quote_big_integers(json)).ok().map(|q| q.0)
    }

    #[test]
    fn numbers_come_in_every_form() {
        let forms = [
            ("7", Some(7u64)),
            ("\"7\"", Some(7)),
            ("\"0x07\"", Some(7)),
            ("\"0X07\"", Some(7)),
            ("\"0x\"", Some(0)),
            ("\"\"", Some(0)),
            ("-7", None),
            ("7.5", None),
            ("\"seven\"", None),
            ("\"7f\"", None),
            ("\"1_0\"", None),
            ("\"0x10000000000000000000000000000000000000000000000000000000000000000\"", None),
        ];
        for (json, expected) in forms {
            assert_eq!(number(json), expected.map(U256::from), "{json}");
        }
    }

    #[test]
    fn a_big_bare_integer_is_not_rounded() {
        let expected = U256::from(5875u64) * U256::from(10u64).pow(U256::from(19));
        assert_eq!(number("58750000000000000000000"), Some(expected));
        assert_eq!(number("18446744073709551616"), Some(U256::from(1u128 << 64)));
    }

    #[test]
    fn quoting_leaves_strings_and_other_numbers_alone() {
        let same = r#"{"a": "58750000000000000000000", "b\"58750000000000000000000": 1.5e300}"#;
        assert_eq!(quote_big_integers(same), same);
        let before = r#"[1, 123456789012345678901, "x"]"#;
        assert_eq!(quote_big_integers(before), r#"[1, "123456789012345678901", "x"]"#);
        assert_eq!(quote_big_integers("\"open"), "\"open");
    }

    #[test]
    fn hex_is_padded_and_bounded() {
        let word =
            |json| serde_json::from_str::<HexWord>(json).ok().map(|w| U256::from_be_bytes(w.0.0));
        assert_eq!(word("\"0x1\""), Some(U256::from(1)));
        assert_eq!(word("\"ff\""), Some(U256::from(255)));
        assert_eq!(word(&format!("\"{}\"", "0".repeat(66))), None);
        let address = |json| serde_json::from_str::<HexAddress>(json).is_ok();
        assert!(address("\"4200000000000000000000000000000000000016\""));
        assert!(address("\"0x4200000000000000000000000000000000000016\""));
        assert!(!address("\"0x42\""));
    }
}
