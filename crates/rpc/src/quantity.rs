use std::fmt;

use banyan_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Reads a hexadecimal quantity as strictly as the standard says: `0x`, no leading zeros. The
/// complaints are geth's.
pub(crate) fn parse(text: &str) -> Result<U256, &'static str> {
    if text.is_empty() {
        return Err("empty hex string");
    }
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .ok_or("hex string without 0x prefix")?;
    if digits.is_empty() {
        return Err("hex string \"0x\"");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits");
    }
    if digits.len() > 64 {
        return Err("hex number > 256 bits");
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    U256::from_str_radix(digits, 16).map_err(|_| "invalid hex string")
}

/// A 64-bit `QUANTITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(pub(crate) u64);

/// A 128-bit `QUANTITY`, for prices and fees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wide(pub(crate) u128);

/// A 256-bit `QUANTITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Big(pub(crate) U256);

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl Serialize for Big {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Big {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_str(HexVisitor)?;
        u64::try_from(value).map(Self).map_err(|_| de::Error::custom("hex number > 64 bits"))
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_str(HexVisitor)?;
        u128::try_from(value).map(Self).map_err(|_| de::Error::custom("hex number > 128 bits"))
    }
}

struct HexVisitor;

impl de::Visitor<'_> for HexVisitor {
    type Value = U256;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hex string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<U256, E> {
        parse(text).map_err(E::custom)
    }
}

/// A 64-bit number that some callers write as a JSON number and some as a `QUANTITY` (OP's
/// `minBaseFee`, counts in `eth_feeHistory`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lenient(pub(crate) u64);

impl Serialize for Lenient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl de::Visitor<'_> for Either {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a hex string")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
                Ok(number)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                let value = parse(text).map_err(E::custom)?;
                u64::try_from(value).map_err(|_| E::custom("hex number > 64 bits"))
            }
        }

        deserializer.deserialize_any(Either).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_strictly() {
        let cases = [
            ("0x0", Ok(0)),
            ("0x1b4", Ok(436)),
            ("0xffffffffffffffff", Ok(u64::MAX)),
            ("436", Err("hex string without 0x prefix")),
            ("0x", Err("hex string \"0x\"")),
            ("0x01", Err("hex number with leading zero digits")),
            ("0xzz", Err("invalid hex string")),
            ("0x1_0", Err("invalid hex string")),
            ("0x10000000000000000", Err("hex number > 64 bits")),
        ];
        for (text, expected) in cases {
            let found = serde_json::from_value::<Quantity>(text.into());
            match expected {
                Ok(number) => assert_eq!(found.unwrap(), Quantity(number), "{text}"),
                Err(complaint) => assert_eq!(found.unwrap_err().to_string(), complaint, "{text}"),
            }
        }
        assert!(serde_json::from_str::<Quantity>("436").is_err(), "JSON numbers are refused");
    }

    #[test]
    fn quantities_are_written_without_leading_zeros() {
        assert_eq!(serde_json::to_string(&Quantity(0)).unwrap(), "\"0x0\"");
        assert_eq!(serde_json::to_string(&Wide(436)).unwrap(), "\"0x1b4\"");
        assert_eq!(serde_json::to_string(&Big(U256::from(16))).unwrap(), "\"0x10\"");
    }

    #[test]
    fn a_lenient_number_is_read_in_both_forms() {
        for text in ["17", "\"0x11\""] {
            assert_eq!(serde_json::from_str::<Lenient>(text).unwrap(), Lenient(17));
        }
        assert!(serde_json::from_str::<Lenient>("-1").is_err());
    }
}
