use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{RpcError, RpcResult};

/// Positional parameters of a call, taken one after the other. The complaints are geth's.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    values: Vec<&'a RawValue>,
    next: usize,
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
        Ok(Self { values, next: 0 })
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
