//! `engine_exchangeCapabilities` and `engine_getClientVersionV1`.

use serde_json::{Value, json};

use crate::{args::Args, error::RpcResult, shared::Shared};

/// Two letters that no other client uses (execution-apis, identification.md). Alloy's
/// `ClientVersionV1` knows the listed clients only, so it fits neither ours nor a caller's code.
const CLIENT_CODE: &str = "BY";

/// Every versioned method that we serve.
const CAPABILITIES: [&str; 20] = [
    "engine_newPayloadV1",
    "engine_newPayloadV2",
    "engine_newPayloadV3",
    "engine_newPayloadV4",
    "engine_newPayloadV5",
    "engine_forkchoiceUpdatedV1",
    "engine_forkchoiceUpdatedV2",
    "engine_forkchoiceUpdatedV3",
    "engine_forkchoiceUpdatedV4",
    "engine_getPayloadV1",
    "engine_getPayloadV2",
    "engine_getPayloadV3",
    "engine_getPayloadV4",
    "engine_getPayloadV5",
    "engine_getPayloadBodiesByHashV1",
    "engine_getPayloadBodiesByRangeV1",
    "engine_getBlobsV1",
    "engine_getBlobsV2",
    "engine_getBlobsV3",
    "engine_getClientVersionV1",
];

/// What the caller can do does not matter to us.
pub(super) fn exchange(_: &Shared, mut args: Args<'_>) -> RpcResult<Vec<&'static str>> {
    let _theirs: Vec<String> = args.required()?;
    args.end()?;
    Ok(CAPABILITIES.to_vec())
}

/// Who we are; the caller tells who it is, for the log.
pub(super) fn client_version(shared: &Shared, mut args: Args<'_>) -> RpcResult<Value> {
    let theirs: Option<Value> = args.optional()?;
    tracing::debug!(target: "rpc::engine", caller = ?theirs, "client version asked for");
    let info = &shared.context.node_info;
    Ok(json!([{
        "code": CLIENT_CODE,
        "name": info.name,
        "version": info.version,
        "commit": short_commit(&info.commit),
    }]))
}

/// First four bytes of the commit.
fn short_commit(commit: &str) -> String {
    let digits: String = commit.chars().take(8).collect();
    format!("0x{digits:0<8}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_four_bytes() {
        assert_eq!(short_commit("abcdef1234567890"), "0xabcdef12");
        assert_eq!(short_commit(""), "0x00000000");
    }
}
