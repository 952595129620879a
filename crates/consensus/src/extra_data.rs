//! EIP-1559 parameters in the `extraData` of OP headers.
//!
//! ```text
//! Holocene  00 | denominator u32 | elasticity u32                        (9 bytes, big endian)
//! Jovian    01 | denominator u32 | elasticity u32 | minBaseFee u64       (17 bytes)
//! ```

use banyan_chainspec::{OpFork, Rules};
use banyan_primitives::Bytes;

const HOLOCENE_VERSION: u8 = 0;
const JOVIAN_VERSION: u8 = 1;

/// The parameters that a header sets for its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeeParams {
    pub(crate) denominator: u32,
    pub(crate) elasticity: u32,
    /// Wei; zero before Jovian.
    pub(crate) min_base_fee: u64,
}

impl FeeParams {
    /// Reads `extraData` of a block under `rules`: `None` before Holocene. The error is in words.
    pub(crate) fn decode(rules: &Rules, extra: &[u8]) -> Result<Option<Self>, String> {
        let (fork, length, version) = if rules.is_op(OpFork::Jovian) {
            ("jovian", 17, JOVIAN_VERSION)
        } else if rules.is_op(OpFork::Holocene) {
            ("holocene", 9, HOLOCENE_VERSION)
        } else {
            return Ok(None);
        };
        if extra.len() != length {
            return Err(format!("{fork} extraData should be {length} bytes, got {}", extra.len()));
        }
        let (head, min_base_fee) = extra.split_at(9);
        if head[0] != version {
            return Err(format!(
                "{fork} extraData version byte should be {version}, got {}",
                head[0]
            ));
        }
        let params = Self {
            denominator: be_u32(&head[1..5]),
            elasticity: be_u32(&head[5..9]),
            min_base_fee: be_u64(min_base_fee),
        };
        Ok(Some(params))
    }

    /// `extraData` under `rules`, which must be Holocene's or later.
    pub(crate) fn encode(&self, rules: &Rules) -> Bytes {
        let jovian = rules.is_op(OpFork::Jovian);
        let mut extra = vec![if jovian { JOVIAN_VERSION } else { HOLOCENE_VERSION }];
        extra.extend(self.denominator.to_be_bytes());
        extra.extend(self.elasticity.to_be_bytes());
        if jovian {
            extra.extend(self.min_base_fee.to_be_bytes());
        }
        extra.into()
    }
}

/// Denominator and elasticity out of `eip1559Params` of payload attributes.
pub(crate) fn split_params(params: &[u8; 8]) -> (u32, u32) {
    (be_u32(&params[..4]), be_u32(&params[4..]))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Checks `extraData` of an OP header: non-zero parameters since Holocene, nothing before.
pub(crate) fn check(rules: &Rules, extra: &[u8]) -> Result<(), String> {
    match FeeParams::decode(rules, extra)? {
        None if extra.is_empty() => Ok(()),
        None => Err("extraData must be empty before Holocene".into()),
        Some(FeeParams { denominator: 0, .. }) => {
            Err("extraData must encode a non-zero denominator".into())
        }
        Some(FeeParams { elasticity: 0, .. }) => {
            Err("extraData must encode a non-zero elasticity".into())
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use banyan_chainspec::Fork;
    use banyan_primitives::alloy_primitives::hex;

    use super::*;

    fn rules(op: OpFork) -> Rules {
        Rules { fork: Fork::Prague, op: Some(op), blobs: None }
    }

    #[test]
    fn values_have_the_documented_layout() {
        let params = FeeParams { denominator: 250, elasticity: 6, min_base_fee: 0x0102 };
        let jovian = hex!("01000000fa000000060000000000000102");
        assert_eq!(params.encode(&rules(OpFork::Jovian)), Bytes::from(jovian));
        assert_eq!(FeeParams::decode(&rules(OpFork::Karst), &jovian), Ok(Some(params)));
        let holocene = hex!("00000000fa00000006");
        assert_eq!(params.encode(&rules(OpFork::Isthmus)), Bytes::from(holocene));
        let params = FeeParams { min_base_fee: 0, ..params };
        assert_eq!(FeeParams::decode(&rules(OpFork::Holocene), &holocene), Ok(Some(params)));
    }

    #[test]
    fn malformed_values_are_refused() {
        let cases: [(OpFork, &[u8], &str); 8] = [
            (OpFork::Granite, b"x", "empty before Holocene"),
            (OpFork::Holocene, &[], "should be 9 bytes, got 0"),
            (OpFork::Holocene, &hex!("01000000fa00000006"), "version byte should be 0"),
            (OpFork::Holocene, &hex!("000000000000000006"), "non-zero denominator"),
            (OpFork::Holocene, &hex!("00000000fa00000000"), "non-zero elasticity"),
            (OpFork::Jovian, &hex!("00000000fa00000006"), "should be 17 bytes, got 9"),
            (OpFork::Jovian, &hex!("00000000fa000000060000000000000000"), "should be 1"),
            (OpFork::Jovian, &hex!("0100000000000000060000000000000000"), "non-zero denominator"),
        ];
        for (fork, extra, reason) in cases {
            let error = check(&rules(fork), extra).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(check(&rules(OpFork::Granite), b""), Ok(()));
    }
}
