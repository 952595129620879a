//! Ranges over the slots of all accounts, for trees in which they lie beside each other.

use banyan_primitives::{
    B256, SourceError, U256,
    trie::{SlotKey, visit_slots_by_account},
};
use banyan_storage::StateRead;

use crate::{
    Layer, StateView,
    merge::{Entries, merge},
};

/// Slots in order of key, layers (newest first) over the database: as
/// [`TrieSource::visit_slots`](banyan_primitives::trie::TrieSource::visit_slots) says.
pub(crate) fn visit_slots(
    view: &StateView,
    layers: &[&Layer],
    (first, last): (&SlotKey, &SlotKey),
    limit: usize,
    visit: &mut dyn FnMut(SlotKey, U256),
) -> Result<(), SourceError> {
    let wiped = |layer: &&Layer| {
        layer.state.storage.range(first.0..=last.0).any(|(_, storage)| storage.wiped)
    };
    if layers.iter().any(wiped) {
        return visit_slots_by_account(view, (first, last), limit, visit);
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
    let txn = view.transaction();
    if sources.is_empty() {
        return Ok(txn.visit_slots((first, last), limit, visit)?);
    }
    let mut stored = Vec::new();
    let more = limit.saturating_add(hidden);
    txn.visit_slots((first, last), more, &mut |key, value| stored.push(Ok((key, Some(value)))))?;
    sources.push(Box::new(stored.into_iter()));
    for (key, value) in merge(sources, limit)? {
        visit(key, value);
    }
    Ok(())
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
