use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use banyan_primitives::{Address, B256, alloy_primitives::FixedBytes};
use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{RpcError, RpcResult};

/// Set once nobody waits for the answer to a call any more: work on it is in vain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abandoned(pub(crate) Arc<AtomicBool>);

impl Abandoned {
    /// An error if the caller went away.
    pub(crate) fn check(&self) -> RpcResult<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(RpcError::server("request cancelled: the connection was closed"));
        }
        Ok(())
    }
}

/// Positional parameters of a call, taken one after the other. The complaints are geth's.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    values: Vec<&'a RawValue>,
    next: usize,
    abandoned: Abandoned,
}

impl<'a> Args<'a> {
    /// Splits the parameters of a call without looking into them.
    pub(crate) fn new(params: &'a Params<'_>) -> RpcResult<Self> {
        let values = match params.as_str() {
            None | Some("null") => Vec::new(),
            Some(text) => {
                serde_json::from_str(text).map_err(|_| RpcError::params("non-array args"))?
            }
        };
        Ok(Self { values, next: 0, abandoned: Abandoned::default() })
    }

    /// The same, of a call whose caller may go away.
    pub(crate) fn of_caller(self, abandoned: Abandoned) -> Self {
        Self { abandoned, ..self }
    }

    /// Tells whether the caller is still there.
    pub(crate) fn abandoned(&self) -> Abandoned {
        self.abandoned.clone()
    }

    /// The next parameter, which must be a hash: written as strictly as geth wants it.
    pub(crate) fn hash(&mut self) -> RpcResult<B256> {
        self.fixed("common.Hash")
    }

    /// The next parameter, which must be an address: written as strictly as geth wants it.
    pub(crate) fn address(&mut self) -> RpcResult<Address> {
        self.fixed("common.Address").map(Address)
    }

    fn fixed<const N: usize>(&mut self, name: &str) -> RpcResult<FixedBytes<N>> {
        let index = self.next;
        let text: String = self.required()?;
        parse_fixed(&text, name)
            .map_err(|error| RpcError::params(format!("invalid argument {index}: {error}")))
    }

    /// The next parameter, which must be there and not null.
    pub(crate) fn required<T: Deserialize<'a>>(&mut self) -> RpcResult<T> {
        let index = self.next;
        self.optional()?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    /// The next parameter; `None` if missing or null.
    pub(crate) fn optional<T: Deserialize<'a>>(&mut self) -> RpcResult<Option<T>> {
        let Some(value) = self.values.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        serde_json::from_str(value.get()).map_err(|error| {
            RpcError::params(format!("invalid argument {index}: {}", brief(&error)))
        })
    }

    /// The next parameter as it stands, for checks of its own.
    pub(crate) fn raw(&mut self) -> Option<&'a str> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        Some(value.get()).filter(|text| *text != "null")
    }

    /// Complains about parameters that were not taken.
    pub(crate) fn end(self) -> RpcResult<()> {
        if self.next < self.values.len() {
            let want = self.next;
            return Err(RpcError::params(format!("too many arguments, want at most {want}")));
        }
        Ok(())
    }
}

/// Reads bytes of fixed length with the complaints of geth, whose type is called `name`.
fn parse_fixed<const N: usize>(text: &str, name: &str) -> Result<FixedBytes<N>, String> {
    let cannot = |what| format!("json: cannot unmarshal {what} into Go value of type {name}");
    let digits = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        None if text.is_empty() => "",
        None => return Err(cannot("hex string without 0x prefix")),
        Some(digits) => digits,
    };
    if digits.len() % 2 != 0 {
        return Err(cannot("hex string of odd length"));
    }
    if digits.len() != 2 * N {
        let (have, want) = (digits.len(), 2 * N);
        return Err(format!("hex string has length {have}, want {want} for {name}"));
    }
    digits.parse().map_err(|_| cannot("invalid hex string"))
}

/// The complaint without serde's position, which means nothing to the caller.
pub(crate) fn brief(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(position) = text.rfind(" at line ") {
        text.truncate(position);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Quantity;

    #[test]
    fn complaints_name_the_argument() {
        let params = Params::new(Some(r#"["0x1", "2", null, true]"#));
        let mut args = Args::new(&params).unwrap();
        assert_eq!(args.required::<Quantity>().unwrap(), Quantity(1));
        let error = args.required::<Quantity>().unwrap_err();
        assert_eq!(error, RpcError::params("invalid argument 1: hex string without 0x prefix"));
        let error = args.required::<Quantity>().unwrap_err();
        assert_eq!(error, RpcError::params("missing value for required argument 2"));
        assert_eq!(args.end().unwrap_err(), RpcError::params("too many arguments, want at most 3"));
    }

    #[test]
    fn hashes_and_addresses_are_read_as_strictly_as_geth_reads_them() {
        let complaint = |text: &str| {
            let text = format!("[\"{text}\"]");
            let params = Params::new(Some(&text));
            Args::new(&params).unwrap().address().unwrap_err().message.into_owned()
        };
        let cannot = |what: &str| {
            format!(
                "invalid argument 0: json: cannot unmarshal {what} into Go value of type \
                 common.Address"
            )
        };
        assert_eq!(complaint(&"1".repeat(40)), cannot("hex string without 0x prefix"));
        assert_eq!(complaint("0x123"), cannot("hex string of odd length"));
        assert_eq!(complaint(&format!("0x{}", "g".repeat(40))), cannot("invalid hex string"));
        let short = "invalid argument 0: hex string has length 2, want 40 for common.Address";
        assert_eq!(complaint("0x12"), short);
    }

    #[test]
    fn missing_parameters_are_an_empty_list() {
        for text in [None, Some("null"), Some("[]")] {
            let params = Params::new(text);
            let mut args = Args::new(&params).unwrap();
            assert_eq!(args.optional::<Quantity>().unwrap(), None);
            args.end().unwrap();
        }
        assert!(Args::new(&Params::new(Some("{\"a\":1}"))).is_err());
    }
}
