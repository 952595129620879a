//! The state tries in memory, kept from block to block.
//!
//! A block's sorted batch goes down once (`update`): leaves and branches that it makes, splits and
//! collapses are found on the way, nothing is hashed. Then all leaves are hashed together, and all
//! branches level by level, the deepest first (`hash`). What comes out is the root, the changed
//! stored nodes, and a patch (`patch`), which is applied (`apply`) when the next block builds on
//! this one. Large tries are split by nibbles and done in parallel; small storage tries are done
//! together, so that their levels are hashed together, too. What undoes a patch is kept for a while
//! (`past`), so that siblings and reorgs find the tree in memory.
//!
//! At a start all of it is brought into memory, part by part, beside everything else (`fill`).
//! What is not in memory is read from flat state and stored nodes (`load`), as `crate::update`
//! does, which is the plain oracle of this.

mod apply;
mod compute;
mod fill;
mod hash;
mod hashes;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod load;
mod node;
mod past;
mod patch;
mod path;
mod reads;
mod rlp;
mod trees;
mod update;
mod warm;

pub use fill::Filled;
pub use trees::Trees;
