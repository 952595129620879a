//! Flat state under immutable layers: reads at any block, history, unwind.
//!
//! A [`Layer`] is the frozen change of one block that is not in the database yet. A [`StateView`]
//! reads through a list of layers down to the database's own state, or from the history of a
//! block below it. [`persist_layers`] moves the oldest layers into the database, [`unwind`] takes
//! blocks back. It neither executes nor hashes tries: roots are `commitment`'s.

mod batch;
mod history;
mod layer;
mod merge;
mod persist;
mod range;
mod shared;
mod source;
mod view;

pub use batch::{persist_layer, persist_layers};
pub use history::{oldest_state, reverse_diff, reverse_layer};
pub use layer::Layer;
pub use persist::{GenesisAccount, unwind, write_genesis, write_leaves, write_nodes};
pub use shared::SharedView;
pub use source::FlatState;
pub use view::StateView;
