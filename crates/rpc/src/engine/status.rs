use alloy_rpc_types_engine::{PayloadStatus as RpcPayloadStatus, PayloadStatusEnum};
use banyan_chain::PayloadStatus;
use banyan_primitives::B256;

/// INVALID.
pub(super) fn invalid(latest_valid: Option<B256>, error: impl Into<String>) -> RpcPayloadStatus {
    let status = PayloadStatusEnum::Invalid { validation_error: error.into() };
    RpcPayloadStatus::new(status, latest_valid)
}

/// The chain's verdict as `PayloadStatusV1`.
pub(super) fn to_rpc(status: PayloadStatus) -> RpcPayloadStatus {
    match status {
        PayloadStatus::Valid(hash) => RpcPayloadStatus::new(PayloadStatusEnum::Valid, Some(hash)),
        PayloadStatus::Invalid { latest_valid, error } => invalid(latest_valid, error),
        PayloadStatus::Syncing => RpcPayloadStatus::from_status(PayloadStatusEnum::Syncing),
        PayloadStatus::Accepted => RpcPayloadStatus::from_status(PayloadStatusEnum::Accepted),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_have_the_form_of_the_standard() {
        let hash = B256::repeat_byte(1);
        let invalid = PayloadStatus::Invalid { latest_valid: None, error: "bad".into() };
        let cases = [
            (
                PayloadStatus::Valid(hash),
                json!({"status": "VALID", "latestValidHash": hash, "validationError": null}),
            ),
            (
                invalid,
                json!({"status": "INVALID", "latestValidHash": null, "validationError": "bad"}),
            ),
            (
                PayloadStatus::Syncing,
                json!({"status": "SYNCING", "latestValidHash": null, "validationError": null}),
            ),
            (
                PayloadStatus::Accepted,
                json!({"status": "ACCEPTED", "latestValidHash": null, "validationError": null}),
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(serde_json::to_value(to_rpc(status)).unwrap(), expected);
        }
    }
}
