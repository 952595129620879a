//! Roots with the whole state in memory.

use banyan_commitment::{
    MemoryTrie, Trees, rebuild, state_root,
    wide::{WideTree, wide_rebuild},
};
use banyan_primitives::{
    U256,
    trie::{HashedDiff, NodeDiff},
};

use crate::{
    Result, Settings,
    measure::{Cost, cost},
    report::{Row, Rule},
    workload::Keys,
};

/// One state, and the trees of all rules that are measured.
pub(crate) struct Ram {
    state: MemoryTrie,
    walker: bool,
    mpt: Option<Trees>,
    wide: Option<WideTree>,
}

impl Ram {
    /// Everything in memory: stored nodes in ordered maps, trees with all that is below them.
    pub(crate) fn new(settings: &Settings, parts: &[HashedDiff]) -> Result<Self> {
        let has = |rule| settings.rules.contains(&rule);
        let mut state = MemoryTrie::default();
        for part in parts {
            state.apply(part, &NodeDiff::default());
        }
        let nodes = rebuild(&state)?.nodes;
        state.apply(&HashedDiff::default(), &nodes);
        let mpt = if has(Rule::Mpt) { Some(full(&mut state, parts)?) } else { None };
        let wide = if has(Rule::Wide) { Some(WideTree::build(&state, 2)?) } else { None };
        Ok(Self { state, walker: has(Rule::Walker), mpt, wide })
    }

    fn rules(&self) -> Vec<Rule> {
        let (mpt, wide) = (self.mpt.is_some(), self.wide.is_some());
        let rules = [(Rule::Mpt, mpt), (Rule::Walker, self.walker), (Rule::Wide, wide)];
        rules.into_iter().filter_map(|(rule, there)| there.then_some(rule)).collect()
    }

    /// All rules in turns on the same blocks, each round another one first; a first round is not
    /// counted.
    pub(crate) fn measure(
        &mut self,
        keys: &mut Keys,
        rounds: usize,
        row: &Row,
    ) -> Result<Vec<Row>> {
        let rules = self.rules();
        let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); rules.len()];
        for round in 0..rounds + 1 {
            let diff = keys.block(row.batch);
            let mut keccak = None;
            for turn in 0..rules.len() {
                let index = (round + turn) % rules.len();
                let (cost, output) = self.turn(rules[index], &diff);
                if round > 0 {
                    costs[index].push(cost);
                }
                let Some((root, nodes)) = output? else { continue };
                if keccak.as_ref().is_some_and(|(other, _)| *other != root) {
                    return Err("the tree and the walker differ".into());
                }
                keccak = Some((root, nodes));
            }
            let nodes = keccak.map(|(_, nodes)| nodes).unwrap_or_default();
            self.state.apply(&diff, &nodes);
        }
        let rows = rules.iter().zip(&costs);
        Ok(rows.map(|(rule, costs)| row.with(*rule, costs)).collect())
    }

    fn turn(
        &mut self,
        rule: Rule,
        diff: &HashedDiff,
    ) -> (Cost, Result<Option<(banyan_primitives::B256, NodeDiff)>>) {
        let state = &self.state;
        let (cost, output) = match (rule, &self.mpt, &mut self.wide) {
            (Rule::Mpt, Some(trees), _) => cost(|| trees.state_root(state, diff).map(Some)),
            (Rule::Wide, _, Some(tree)) => cost(|| tree.advance(state, diff).map(|_| None)),
            _ => cost(|| state_root(state, diff).map(Some)),
        };
        (cost, output.map(|found| found.map(|it| (it.root, it.nodes))).map_err(Into::into))
    }

    /// Whether the `wide` tree is still that of the state.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.wide {
            Some(tree) if tree.root() != wide_rebuild(&self.state)? => {
                Err("the wide tree is wrong".into())
            }
            _ => Ok(()),
        }
    }
}

/// A tree with everything in memory: every key was changed once.
fn full(state: &mut MemoryTrie, parts: &[HashedDiff]) -> Result<Trees> {
    let trees = Trees::new(usize::MAX);
    for part in parts {
        let mut part = part.clone();
        part.accounts.values_mut().flatten().for_each(|account| account.nonce += 1);
        let slots = part.storage.values_mut().flat_map(|storage| storage.slots.values_mut());
        slots.for_each(|value| *value += U256::from(1));
        let nodes = trees.state_root(state, &part)?.nodes;
        state.apply(&part, &nodes);
    }
    Ok(trees)
}
