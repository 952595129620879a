use std::fmt;

use banyan_primitives::U256;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A quantity as fixtures write it: hex with any number of leading zeros, decimal text, or a JSON
/// number. Empty text is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub U256);

impl Number {
    /// As `u64`; `None` if it does not fit.
    pub fn as_u64(self) -> Option<u64> {
        self.0.try_into().ok()
    }

    /// As `u64`, cut off at its maximum.
    pub fn saturating_u64(self) -> u64 {
        self.0.saturating_to()
    }

    /// The shortest hex form, as in JSON-RPC.
    pub fn to_hex(self) -> String {
        format!("{:#x}", self.0)
    }

    fn parse(text: &str) -> Option<U256> {
        match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            _ if text.is_empty() => Some(U256::ZERO),
            Some("") => Some(U256::ZERO),
            Some(hex) => U256::from_str_radix(hex, 16).ok(),
            None => U256::from_str_radix(text, 10).ok(),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;

        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity: 0x hex, decimal text or a number")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(U256::from(value)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Number::parse(text)
                    .map(Number)
                    .ok_or_else(|| E::custom(format!("{text:?} is no quantity")))
            }
        }

        deserializer.deserialize_any(NumberVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<u64>) {
        let number = serde_json::from_str::<Number>(json).ok();
        assert_eq!(number.map(|number| number.0), expected.map(U256::from), "{json}");
    }

    #[test]
    fn every_way_to_write_a_quantity_is_read() {
        check("\"0x0010\"", Some(16));
        check("\"0x\"", Some(0));
        check("\"\"", Some(0));
        check("\"12\"", Some(12));
        check("7", Some(7));
        check("\"0xzz\"", None);
        check("\"0x10000000000000000000000000000000000000000000000000000000000000000\"", None);
    }
}
