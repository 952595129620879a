use std::time::Duration;

/// Limits of the pool; defaults as op-reth's.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Most executable transactions kept.
    pub pending_max_count: usize,
    /// Most bytes of executable transactions.
    pub pending_max_bytes: usize,
    /// Most transactions kept whose nonce or fee is not ready.
    pub queued_max_count: usize,
    /// Most bytes of those.
    pub queued_max_bytes: usize,
    /// Most bytes of blob sidecars. They are kept in memory and count apart from the limits above.
    pub sidecar_max_bytes: usize,
    /// Most waiting (queued) transactions of one sender. Executable ones are paid for by the
    /// sender's balance and bounded by the limits above, as geth and op-reth treat transactions
    /// that come through RPC.
    pub max_account_slots: usize,
    /// Price bump for a replacement, percent.
    pub price_bump: u128,
    /// The same for blob transactions.
    pub blob_price_bump: u128,
    /// Longest time that a transaction may wait for an earlier nonce, funds or a lower base fee.
    pub lifetime: Duration,
    /// Lowest priority fee accepted, wei.
    pub minimum_priority_fee: u128,
    /// Largest encoded transaction, bytes (a sidecar does not count).
    pub max_tx_bytes: usize,
    /// Largest gas limit of a transaction accepted (besides the block's); `None`: no limit.
    pub max_tx_gas: Option<u64>,
    /// Highest total fee accepted through RPC, wei; `None`: no limit (`--rpc.txfeecap`).
    pub tx_fee_cap: Option<u128>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            pending_max_count: 10_000,
            pending_max_bytes: 20 << 20,
            queued_max_count: 10_000,
            queued_max_bytes: 20 << 20,
            sidecar_max_bytes: 256 << 20,
            max_account_slots: 16,
            price_bump: 10,
            blob_price_bump: 100,
            lifetime: Duration::from_secs(3 * 60 * 60),
            minimum_priority_fee: 0,
            max_tx_bytes: 128 << 10,
            max_tx_gas: None,
            tx_fee_cap: Some(1_000_000_000_000_000_000),
        }
    }
}
