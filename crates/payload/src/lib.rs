//! Building blocks: jobs by payload id, from attributes and the pool to a sealed, executed block.
//!
//! One build thread. A job first executes the forced transactions (so that bad attributes are
//! refused in the answer to forkchoiceUpdated), then fills up from the pool and seals; while
//! nobody has asked for it, it is built again when the pool has changed. `getPayload` takes the
//! best block so far; if there is none yet, the build in progress is cut short and sealed.

mod builder;
mod candidates;
mod id;
mod job;
mod service;

pub use builder::BuildError;
pub use id::payload_id;
pub use job::{BuiltPayload, DaLimits};
pub use service::{BuilderConfig, PayloadHandle, PayloadId};
