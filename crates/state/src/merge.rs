//! Ordered merge of layers over the database.

use std::iter::Peekable;

use banyan_primitives::SourceError;

/// What one layer (or the database) says, in order of key: a value, or `None` for "deleted".
pub(crate) type Entries<'a, K, V> =
    Box<dyn Iterator<Item = Result<(K, Option<V>), SourceError>> + 'a>;

/// Merges `sources`, newest first: for each key the newest source that has it decides. The first
/// `limit` entries that exist, in order of key.
///
/// Cost per entry is the number of sources, which is the number of layers that say something in
/// the range.
pub(crate) fn merge<K: Ord + Copy, V>(
    sources: Vec<Entries<'_, K, V>>,
    limit: usize,
) -> Result<Vec<(K, V)>, SourceError> {
    let mut sources: Vec<_> = sources.into_iter().map(Iterator::peekable).collect();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let Some(key) = first_key(&mut sources)? else { break };
        if let Some(value) = take(&mut sources, key) {
            merged.push((key, value));
        }
    }
    Ok(merged)
}

fn first_key<K: Ord + Copy, V>(
    sources: &mut [Peekable<Entries<'_, K, V>>],
) -> Result<Option<K>, SourceError> {
    let mut first: Option<K> = None;
    for source in sources {
        match source.peek() {
            None => {}
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok((key, _))) => first = Some(first.map_or(*key, |first| first.min(*key))),
        }
    }
    Ok(first)
}

/// Takes `key` from every source that stands at it; the answer is the newest one's.
fn take<K: Ord + Copy, V>(sources: &mut [Peekable<Entries<'_, K, V>>], key: K) -> Option<V> {
    let mut newest = None;
    for source in sources {
        let at_key = |entry: &Result<(K, Option<V>), _>| matches!(entry, Ok((k, _)) if *k == key);
        if let Some(Ok((_, value))) = source.next_if(at_key) {
            newest.get_or_insert(value);
        }
    }
    newest.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(u32, Option<u32>)]) -> Entries<'static, u32, u32> {
        Box::new(Vec::from(list).into_iter().map(Ok))
    }

    #[test]
    fn the_newest_source_decides_and_deletions_hide() {
        let sources = || {
            vec![
                entries(&[(2, None), (5, Some(50))]),
                entries(&[(1, Some(1)), (2, Some(2)), (5, Some(5))]),
                entries(&[(2, Some(22)), (3, Some(33)), (5, None), (9, Some(99))]),
            ]
        };
        assert_eq!(merge(sources(), 9).unwrap(), vec![(1, 1), (3, 33), (5, 50), (9, 99)]);
        assert_eq!(merge(sources(), 2).unwrap(), vec![(1, 1), (3, 33)]);
    }

    #[test]
    fn a_failing_source_fails_the_merge() {
        let failing: Entries<'_, u32, u32> =
            Box::new(std::iter::once(Err(SourceError::Fault("disk".into()))));
        assert!(merge(vec![entries(&[(1, Some(1))]), failing], 1).is_err());
    }
}
