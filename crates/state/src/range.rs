//! Ranges over the slots of all accounts, for trees in which they lie beside each other.

use banyan_primitives::{B256, SourceError, U256, trie::slots_by_account};
use banyan_storage::StateRead;

use crate::{
    Layer, StateView,
    merge::{Entries, merge},
};

/// Account and slot, hashed.
type SlotKey = (B256, B256);

/// Slots in order of key, layers (newest first) over the database: as
/// [`slots_between`](banyan_primitives::trie::TrieSource::slots_between) says.
pub(crate) fn slots_between(
    view: &StateView,
    layers: &[&Layer],
    (first, last): (&SlotKey, &SlotKey),
    limit: usize,
) -> Result<Vec<(B256, B256, U256)>, SourceError> {
    let wiped = |layer: &&Layer| {
        layer.state.storage.range(first.0..=last.0).any(|(_, storage)| storage.wiped)
    };
    if layers.iter().any(wiped) {
        return slots_by_account(view, first, last, limit);
    }
    let mut sources: Vec<Entries<'_, SlotKey, U256>> = Vec::new();
    // Every deletion hides at most one slot of the database.
    let mut hidden = 0;
    for layer in layers {
        let entries: Vec<_> = changes(layer, first, last).collect();
        hidden += entries.iter().filter(|(_, value)| value.is_none()).count();
        if !entries.is_empty() {
            sources.push(Box::new(entries.into_iter().map(Ok)));
        }
    }
    let stored = view.transaction().slots_between(first, last, limit.saturating_add(hidden))?;
    sources.push(Box::new(stored.into_iter().map(|(a, s, value)| Ok(((a, s), Some(value))))));
    let merged = merge(sources, limit)?;
    Ok(merged.into_iter().map(|((account, slot), value)| (account, slot, value)).collect())
}

/// What a layer says about slots with `first` ≤ key ≤ `last`.
fn changes<'a>(
    layer: &'a Layer,
    first: &SlotKey,
    last: &SlotKey,
) -> impl Iterator<Item = (SlotKey, Option<U256>)> + use<'a> {
    let (first, last) = (*first, *last);
    let accounts = layer.state.storage.range(first.0..=last.0);
    accounts.flat_map(move |(account, storage)| {
        let from = if *account == first.0 { first.1 } else { B256::ZERO };
        let to = if *account == last.0 { last.1 } else { B256::repeat_byte(0xff) };
        let slots = storage.slots.range(from..).take_while(move |(slot, _)| **slot <= to);
        slots.map(|(slot, value)| ((*account, *slot), (!value.is_zero()).then_some(*value)))
    })
}
