//! Nodes that will be visited, brought into the processor's caches many at a time. One after the
//! other each would be waited for, which takes longer than all that is done with them.

use std::hint::black_box;

use super::{
    node::{Branch, Place},
    patch::{Base, New, Patch},
    path::nibble,
    update::{Change, groups},
};

/// What is below `node` on the way of `changes`, with all that hashing will read of it.
pub(super) fn for_update(node: &Branch, changes: &[Change<'_>]) {
    let mut level = vec![(node, changes)];
    while !level.is_empty() {
        let mut next = Vec::with_capacity(level.len() * 2);
        for (node, changes) in level {
            for (nibble, group) in groups(changes, node.path.len()) {
                if let Some(Place::Branch { node, .. }) = node.place(nibble) {
                    next.push((&**node, group));
                }
            }
        }
        black_box(next.iter().fold(0, |all, (node, _)| all ^ node.path.len));
        let lines = |(node, changes): &(&Branch, &[Change<'_>])| {
            let lines = node.references.iter().step_by(2);
            let references = lines.fold(0, |all, reference| all ^ reference[0]);
            let depth = node.path.len();
            let own = |change: &Change<'_>| node.place(nibble(&change.key, depth % 64));
            let places = changes.iter().map(|change| is_loaded(own(change)));
            references ^ places.fold(0, |all, one| all ^ u8::from(one))
        };
        black_box(next.iter().map(lines).fold(0, |all, one| all ^ one));
        level = next;
    }
}

/// What a patch will change below the branch with number `index`, which is in the place of `node`.
pub(super) fn for_apply(node: &Branch, patch: &Patch, index: u32) {
    let mut level = vec![(node, index)];
    while !level.is_empty() {
        let mut next = Vec::with_capacity(level.len() * 2);
        for (node, index) in level {
            let Some(work) = patch.works.get(index as usize) else { continue };
            for entry in patch.entries(work) {
                let New::Work(below) = entry.new else { continue };
                let base = patch.works.get(below as usize).map(|work| &work.base);
                if let (Some(Place::Branch { node, .. }), Some(Base::Kept | Base::Here(_))) =
                    (node.place(entry.nibble), base)
                {
                    next.push((&**node, below));
                }
            }
        }
        black_box(next.iter().fold(0, |all, (node, _)| all ^ node.path.len));
        let lines = |(node, index): &(&Branch, u32)| {
            let entries = patch.works.get(*index as usize).map(|work| patch.entries(work));
            let entries = entries.unwrap_or_default().iter();
            entries.fold(0, |all, entry| {
                let at = node.masks.index(entry.nibble);
                let reference = node.references.get(at).map_or(0, |reference| reference[0]);
                all ^ reference ^ u8::from(is_loaded(node.places.get(at)))
            })
        };
        black_box(next.iter().map(lines).fold(0, |all, one| all ^ one));
        level = next;
    }
}

fn is_loaded(place: Option<&Place>) -> bool {
    place.is_some_and(|place| !matches!(place, Place::Unloaded))
}
