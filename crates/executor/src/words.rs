//! geth's words for revm's errors: tools and test suites match on them.

use banyan_primitives::{Address, U256};
use revm::context_interface::{
    Transaction,
    result::{HaltReason, InvalidTransaction, OutOfGasError},
};

/// Why a transaction cannot be executed at all.
pub(crate) fn invalid(error: &InvalidTransaction, tx: &impl Transaction, base_fee: u64) -> String {
    use InvalidTransaction as E;
    let address = tx.caller();
    match error {
        E::PriorityFeeGreaterThanMaxFee => format!(
            "max priority fee per gas higher than max fee per gas: address {address}, \
             maxPriorityFeePerGas: {}, maxFeePerGas: {}",
            tx.max_priority_fee_per_gas().unwrap_or_default(),
            tx.max_fee_per_gas()
        ),
        E::GasPriceLessThanBasefee => format!(
            "max fee per gas less than block base fee: address {address}, maxFeePerGas: {}, \
             baseFee: {base_fee}",
            tx.max_fee_per_gas()
        ),
        E::CallerGasLimitMoreThanBlock => "gas limit reached".into(),
        E::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        E::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        E::RejectCallerWithCode => format!("sender not an eoa: address {address}"),
        E::LackOfFundForMaxFee { fee, balance } => insufficient_funds(address, **balance, **fee),
        E::OverflowPaymentInTransaction => format!(
            "insufficient funds for gas * price + value: address {address} required balance \
             exceeds 256 bits"
        ),
        E::NonceOverflowInTransaction => {
            format!("nonce has max value: address {address}, nonce: {}", tx.nonce())
        }
        E::NonceTooHigh { tx, state } => {
            format!("nonce too high: address {address}, tx: {tx} state: {state}")
        }
        E::NonceTooLow { tx, state } => {
            format!("nonce too low: address {address}, tx: {tx} state: {state}")
        }
        E::CreateInitCodeSizeLimit => {
            format!("max initcode size exceeded: code size {}", tx.input().len())
        }
        E::InvalidChainId | E::MissingChainId => "invalid chain id for signer".into(),
        E::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        other => unsupported(other, tx),
    }
}

/// The rarer half of [`invalid`]: blobs, authorisations, transaction types.
fn unsupported(error: &InvalidTransaction, tx: &impl Transaction) -> String {
    use InvalidTransaction as E;
    let address = tx.caller();
    match error {
        E::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => format!(
            "max fee per blob gas less than block blob gas fee: address {address} \
             blobGasFeeCap: {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}"
        ),
        E::EmptyBlobs => "blob transaction missing blob hashes".into(),
        E::BlobCreateTransaction => "blob transaction of type create".into(),
        E::TooManyBlobs { max, have } => {
            format!("blob transaction has too many blobs: have {have}, max {max}")
        }
        E::BlobVersionNotSupported => "blob has invalid hash version".into(),
        E::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {address})")
        }
        E::AuthorizationListInvalidFields => {
            format!("EIP-7702 transaction cannot be used to create contract (sender {address})")
        }
        E::Eip2930NotSupported
        | E::Eip1559NotSupported
        | E::Eip4844NotSupported
        | E::Eip7702NotSupported
        | E::Eip7873NotSupported
        | E::AccessListNotSupported
        | E::AuthorizationListNotSupported
        | E::BlobVersionedHashesNotSupported
        | E::MaxFeePerBlobGasNotSupported => "transaction type not supported".into(),
        other => other.to_string(),
    }
}

/// The sender cannot pay.
pub(crate) fn insufficient_funds(address: Address, have: U256, want: U256) -> String {
    format!("insufficient funds for gas * price + value: address {address} have {have} want {want}")
}

/// Why the execution stopped exceptionally. revm does not tell the opcode, so `invalid opcode`
/// stands alone.
pub(crate) fn halt(reason: &HaltReason) -> String {
    use HaltReason as R;
    match reason {
        R::OutOfGas(OutOfGasError::ReentrancySentry) => "not enough gas for reentrancy sentry",
        R::OutOfGas(_) => "out of gas",
        R::OpcodeNotFound | R::NotActivated => "invalid opcode",
        R::InvalidFEOpcode => "invalid opcode: INVALID",
        R::InvalidJump => "invalid jump destination",
        R::StackUnderflow => "stack underflow",
        R::StackOverflow => "stack limit reached 1024 (1023)",
        R::OutOfOffset => "return data out of bounds",
        R::CreateCollision => "contract address collision",
        R::NonceOverflow => "nonce uint64 overflow",
        R::CreateContractSizeLimit => "max code size exceeded",
        R::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        R::CreateInitCodeSizeLimit => "max initcode size exceeded",
        R::StateChangeDuringStaticCall | R::CallNotAllowedInsideStatic => "write protection",
        R::OutOfFunds => "insufficient balance for transfer",
        R::CallTooDeep => "max call depth exceeded",
        R::OverflowPayment | R::PrecompileError | R::PrecompileErrorWithContext(_) => {
            return reason.to_string();
        }
    }
    .into()
}
