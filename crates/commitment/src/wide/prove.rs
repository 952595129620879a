use banyan_primitives::{
    B256, Bytes,
    trie::{Leaf, TrieSource},
};
use banyan_wide_proof::{Hash, Key, account_value};

use super::{
    forest::{Forest, Node, halves},
    leaves::{Limit, read_leaves},
    path::{Prefix, Spot},
    tree::Tree,
    update::Task,
};
use crate::CommitmentError;

/// A proof of what a state holds under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WideProof {
    /// Root of the state.
    pub root: B256,
    /// The account or slot; `None` if it is absent, which the proof then shows.
    pub leaf: Option<Leaf>,
    /// For [`banyan_wide_proof::verify`].
    pub proof: Bytes,
}

/// Proves what the state of `source` holds under `key`, from its rows and one bucket.
pub fn wide_proof<S: TrieSource>(source: &S, key: &Key) -> Result<WideProof, CommitmentError> {
    let mut task = Task::new(source);
    let (root, tree) = task.open_root()?;
    let mut walk = Walk { key, branches: Vec::new() };
    let end = walk.down(source, &mut task, tree)?;
    task.forest.run();
    let leaf = end.filter(|(spot, _)| spot.id() == key.id()).map(|(_, leaf)| leaf);
    Ok(WideProof { root, leaf, proof: walk.encode(&task.forest, end).into() })
}

/// The way from the root towards a key.
struct Walk<'a> {
    key: &'a Key,
    /// Depth of each branch on the way, and its other half.
    branches: Vec<(usize, Node)>,
}

impl Walk<'_> {
    /// Follows the key's turns where there are two ways, to the leaf at the end.
    fn down<S: TrieSource>(
        &mut self,
        source: &S,
        task: &mut Task<'_, S>,
        mut tree: Tree,
    ) -> Result<Option<(Spot, Leaf)>, CommitmentError> {
        let mut prefix = Prefix::ROOT;
        loop {
            match tree {
                Tree::Empty => return Ok(None),
                Tree::Row(_) => (prefix, tree) = task.open_row(&prefix)?,
                Tree::Bucket(_) => return self.through_bucket(source, task, &prefix),
                Tree::Inner(index) => {
                    let depth = prefix.depth();
                    let only = task.trees.only_child(tree);
                    let [left, right] = task.trees.pair(index);
                    let turn = only.map_or_else(|| self.key.bit(depth), |(_, right)| right);
                    let other = if turn { left } else { right };
                    if only.is_none() {
                        let other = task.trees.hash(&mut task.forest, other, depth + 1);
                        self.branches.push((depth, other));
                    }
                    (prefix, tree) = (prefix.child(turn), if turn { right } else { left });
                }
            }
        }
    }

    fn through_bucket<S: TrieSource>(
        &mut self,
        source: &S,
        task: &mut Task<'_, S>,
        prefix: &Prefix,
    ) -> Result<Option<(Spot, Leaf)>, CommitmentError> {
        let all = Limit { accounts: usize::MAX, slots: usize::MAX };
        let leaves = read_leaves(source, prefix, all)?;
        let forest = &mut task.forest;
        let nodes: Vec<_> =
            leaves.iter().map(|(spot, leaf)| (*spot, forest.leaf(spot, leaf))).collect();
        let mut nodes = nodes.as_slice();
        while let [(first, _), .., (last, _)] = nodes {
            let depth = first.parts_from(last);
            let (left, right) = halves(depth, nodes);
            let (same, other) = if self.key.bit(depth) { (right, left) } else { (left, right) };
            self.branches.push((depth, forest.subtree(other)));
            nodes = same;
        }
        let end = nodes.first().map(|(spot, _)| spot);
        Ok(leaves.into_iter().find(|(spot, _)| Some(spot) == end))
    }

    /// Bytes as [`banyan_wide_proof::Proof`] says.
    fn encode(&self, forest: &Forest, end: Option<(Spot, Leaf)>) -> Vec<u8> {
        let bits = self.branches.last().map_or(0, |(depth, _)| depth + 1);
        let mut bitmap = vec![0u8; bits.div_ceil(8)];
        for (depth, _) in &self.branches {
            bitmap[depth / 8] |= 0x80 >> (depth % 8);
        }
        let kind = match &end {
            None => 0,
            Some((spot, _)) if spot.id() == self.key.id() => 1,
            Some(_) => 2,
        };
        let mut proof = vec![kind];
        proof.extend(u16::try_from(bits).unwrap_or(u16::MAX).to_be_bytes());
        proof.extend(bitmap);
        proof.extend(self.branches.iter().rev().flat_map(|(_, other)| forest.hash(*other)));
        if let Some((spot, leaf)) = end {
            proof.extend(Some(spot.id()).filter(|_| kind == 2).into_iter().flatten());
            proof.extend(value(&leaf));
        }
        proof
    }
}

/// What a leaf commits to besides its id.
fn value(leaf: &Leaf) -> Hash {
    match leaf {
        Leaf::Slot(value) => value.to_be_bytes(),
        Leaf::Account(account) => {
            account_value(account.nonce, &account.balance.to_be_bytes(), &account.code_hash.0)
        }
    }
}
