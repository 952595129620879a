use crate::{EMPTY, Hash, Key, inner};

/// Root of a whole state: the definition of the tree, as code. `leaves` are in order of path, each with
/// its [`leaf`](crate::leaf) hash; `None` if they are not, or if two have the same path.
pub fn root_of(leaves: &[(Key, Hash)]) -> Option<Hash> {
    leaves.is_sorted_by(|(a, _), (b, _)| a.path() < b.path()).then(|| subtree(leaves))
}

fn subtree(leaves: &[(Key, Hash)]) -> Hash {
    match leaves {
        [] => EMPTY,
        [(_, hash)] => *hash,
        [(first, _), .., (last, _)] => {
            let parts = |depth: &usize| first.bit(*depth) != last.bit(*depth);
            let depth = (0..320).find(parts).unwrap_or_default();
            let (left, right) = leaves.split_at(leaves.partition_point(|(key, _)| !key.bit(depth)));
            inner(depth, &subtree(left), &subtree(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf;

    fn entry(first: u8) -> (Key, Hash) {
        let mut id = [0x5a; 32];
        id[0] = first;
        (Key::of_account_id(id), leaf(&id, &[1; 32]))
    }

    #[test]
    fn paths_part_where_they_differ() {
        let [a, b, c] = [0b0000_0001, 0b0000_0011, 0b1000_0000].map(entry);
        assert_eq!(root_of(&[]), Some(EMPTY));
        assert_eq!(root_of(&[a]), Some(a.1));
        assert_eq!(root_of(&[a, b]), Some(inner(6, &a.1, &b.1)));
        assert_eq!(root_of(&[a, b, c]), Some(inner(0, &inner(6, &a.1, &b.1), &c.1)));
    }

    #[test]
    fn leaves_out_of_order_or_twice_have_no_root() {
        let [a, b, c] = [1, 3, 0x80].map(entry);
        assert_eq!(root_of(&[a, a]), None);
        assert_eq!(root_of(&[b, a]), None);
        assert_eq!(root_of(&[c, a, b]), None);
    }
}
