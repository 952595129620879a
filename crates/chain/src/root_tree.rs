//! Where the roots of a `wide` chain come from: a tree in memory that follows the blocks, or the rows
//! in the database if the state is too large for it.

use banyan_commitment::{
    MemoryTrie,
    wide::{WideTree, wide_root},
};
use banyan_primitives::{B256, BlockRef, trie::HashedDiff};
use banyan_state::SharedView;
use banyan_storage::Database;

use crate::{ChainError, ChainView, Roots, commit::merged, preload::is_too_large, tree::Branch};

/// Blocks that the tree can be taken back.
const KEPT: usize = 64;
/// What a leaf takes in memory, bytes, about.
const LEAF: u64 = 128;
/// So many roots in a row that the tree could not give: the chain has gone elsewhere.
const MISSES: u32 = 8;

/// Computes roots, one after the other.
#[derive(Debug)]
pub(crate) struct RootTree {
    db: Database,
    roots: Roots,
    /// Most bytes in memory, about.
    memory: u64,
    tree: Option<WideTree>,
    /// Roots since the tree could give one.
    misses: u32,
    /// The tree could not be built: reading all of the state may take longer than a read may.
    given_up: bool,
}

impl RootTree {
    pub(crate) fn new(db: Database, roots: Roots, memory: u64) -> Self {
        Self { db, roots, memory, tree: None, misses: 0, given_up: false }
    }

    /// Builds the tree of what is stored, if it fits, before the first root is asked for: that takes
    /// longer than a block. Gives up as soon as `go_on` is false.
    pub(crate) fn prepare(
        &mut self,
        view: &ChainView,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), ChainError> {
        if !is_too_large(&self.db, LEAF, self.memory)? {
            let tip = view.tip()?;
            let built = WideTree::build_while(&SharedView::new(&tip, 0), KEPT, go_on);
            self.tree = built.inspect_err(|_| self.given_up = true)?;
        }
        Ok(())
    }

    /// The root after a block.
    pub(crate) fn root_after(
        &mut self,
        view: &ChainView,
        block: BlockRef,
    ) -> Result<B256, ChainError> {
        // Whatever it stands at after a failure is dropped with it.
        if let Some(mut tree) = self.tree.take() {
            let found = self.follow(&mut tree, view, &view.branch(block))?;
            self.keep(tree);
            if let Some(root) = found {
                self.misses = 0;
                return Ok(root);
            }
        }
        self.misses += 1;
        let wanted = !self.given_up && (self.tree.is_none() || self.misses >= MISSES);
        if wanted && !is_too_large(&self.db, LEAF, self.memory)? {
            match self.rebuild(view, block) {
                // The rows may do what the tree cannot.
                Err(error) if !error.is_stale() => {
                    tracing::warn!(%error, "the state's tree could not be built");
                    self.given_up = true;
                }
                result => return result,
            }
        }
        let (tip, change) = view.change_from_tip(block)?;
        Ok(wide_root(&SharedView::new(&tip, 0), &change)?.root)
    }

    /// The root after a block by a tree of what is stored.
    fn rebuild(&mut self, view: &ChainView, block: BlockRef) -> Result<B256, ChainError> {
        let (tip, change) = view.change_from_tip(block)?;
        let tip = SharedView::new(&tip, 0);
        self.tree = None;
        let mut tree = WideTree::build(&tip, KEPT)?;
        let root = tree.advance(&tip, &change)?;
        self.misses = 0;
        self.keep(tree);
        Ok(root)
    }

    /// Keeps the tree, unless the state has outgrown what it may take; some slack, so that it is not
    /// dropped and built again in turns.
    fn keep(&mut self, tree: WideTree) {
        let leaves = u64::try_from(tree.leaves()).unwrap_or(u64::MAX);
        if leaves.saturating_mul(LEAF) <= self.memory.saturating_add(self.memory / 4) {
            self.tree = Some(tree);
            return;
        }
        tracing::info!(leaves, "the state has outgrown memory; its roots come from the database");
        rayon::spawn(|| drop(tree)); // it is large
    }

    /// The root after the newest block of `branch`, if the tree can be brought to an ancestor.
    fn follow(
        &self,
        tree: &mut WideTree,
        view: &ChainView,
        branch: &Branch,
    ) -> Result<Option<B256>, ChainError> {
        for (index, block) in branch.blocks.iter().enumerate() {
            let parent = block.block.parent_ref();
            let Some(root) = self.roots.known(parent)? else { continue };
            if !tree.back_to(root) {
                continue;
            }
            let above = branch.blocks.iter().take(index + 1).rev();
            let change = merged(above.map(|block| &block.layer.state));
            // The state below is read for storage that is wiped, and for nothing else.
            if !wipes(&change) {
                return Ok(Some(tree.advance(&MemoryTrie::default(), &change)?));
            }
            return match view.state_in_memory(parent) {
                Ok(below) => Ok(Some(tree.advance(&below, &change)?)),
                Err(error) if error.is_stale() => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(None)
    }
}

/// True if an account loses all its storage, or is created where there was one without any: whoever
/// sends a wei ahead of a contract brings that about. What it loses has to be read.
fn wipes(change: &HashedDiff) -> bool {
    change.storage.values().any(|storage| storage.wiped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use banyan_chainspec::ChainSpec;
    use banyan_executor::BlockOutput;
    use banyan_primitives::{
        Account, AccountDiff, Address, Block, Header, KeyRule, RecoveredBlock, SealedBlock,
        StateDiff, U256, address,
    };
    use banyan_state::Layer;
    use banyan_storage::DatabaseOptions;
    use tempfile::TempDir;

    use super::*;
    use crate::{ChainConfig, ExecutedBlock, machine::Chain};

    const GENESIS: &str = r#"{"config":{"chainId":7,"homesteadBlock":0,"eip150Block":0,
        "eip155Block":0,"eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,
        "petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
        "mergeNetsplitBlock":0,"terminalTotalDifficulty":0,"shanghaiTime":0,"bedrockBlock":0,
        "regolithTime":0,"canyonTime":0,"ecotoneTime":0,"fjordTime":0,"graniteTime":0,
        "holoceneTime":0,"isthmusTime":0,"optimism":{"eip1559Elasticity":6,
        "eip1559Denominator":50,"eip1559DenominatorCanyon":250},"commitment":{"kind":"wide"}},
        "gasLimit":"0x1c9c380","difficulty":"0x0","timestamp":"0x1000","baseFeePerGas":"0x7",
        "extraData":"0x00000000fa00000006","alloc":{
        "0x00000000000000000000000000000000000000aa":{"balance":"0x1","storage":{"0x09":"0x03"}}}}"#;

    /// It has a wei and a slot.
    const FUNDED: Address = address!("0x00000000000000000000000000000000000000aa");

    struct Kit {
        chain: Chain,
        roots: RootTree,
        _dir: TempDir,
    }

    impl Kit {
        fn new(memory: u64) -> Self {
            Self::open(GENESIS, memory, |_| {})
        }

        /// After `damage` was done to the database, if any.
        fn open(genesis: &str, memory: u64, damage: impl FnOnce(&Database)) -> Self {
            let spec = Arc::new(ChainSpec::from_genesis_json(genesis).unwrap());
            let dir = TempDir::new().unwrap();
            let options = DatabaseOptions { keys: KeyRule::Wide, ..Default::default() };
            let database = Database::open(dir.path(), options).unwrap();
            let chain = Chain::open(spec, database.clone(), ChainConfig::default()).unwrap();
            damage(&database);
            let roots = RootTree::new(database, chain.roots().unwrap().clone(), memory);
            Self { chain, roots, _dir: dir }
        }

        fn prepare(&mut self) -> Result<(), ChainError> {
            self.roots.prepare(&self.chain.published.load(), &|| true)
        }

        /// The root after a first block with these changes: that of the tree, and that of the rows.
        fn root_after(&mut self, diff: &StateDiff) -> (B256, B256) {
            let parent = BlockRef::from(&self.chain.spec.genesis_header);
            let header = Header { number: 1, parent_hash: parent.hash, ..Default::default() };
            let block = SealedBlock::seal(Block { header, body: Default::default() });
            let block = RecoveredBlock::new(block, Vec::new());
            let name = block.block_ref();
            let layer = Layer::new(KeyRule::Wide, name, parent, diff);
            let output = BlockOutput::default();
            let executed = ExecutedBlock::new(block, output, layer, Default::default());
            self.chain.tree.insert(Arc::new(executed));
            let view = self.chain.publish();
            let (tip, change) = view.change_from_tip(name).unwrap();
            let rows = wide_root(&tip, &change).unwrap().root;
            (self.roots.root_after(&view, name).unwrap(), rows)
        }
    }

    #[test]
    fn a_contract_that_comes_where_a_wei_is_leaves_the_tree_in_memory() {
        let mut kit = Kit::new(1 << 20);
        kit.prepare().unwrap();
        let contract = Account { nonce: 1, ..Default::default() };
        let created = AccountDiff {
            before: Some(Account { balance: U256::from(1), ..Default::default() }),
            after: Some(contract),
            wiped: true,
            storage: [(U256::from(4), (U256::ZERO, U256::from(5)))].into_iter().collect(),
        };
        let accounts = [(FUNDED, created)].into_iter().collect();
        let (root, rows) = kit.root_after(&StateDiff { accounts, ..Default::default() });
        assert_eq!(root, rows);
        let tree = kit.roots.tree.as_ref().expect("the tree stays in memory");
        assert_eq!((tree.root(), tree.leaves()), (root, 2), "and follows the block");
    }

    #[test]
    fn a_tree_that_has_outgrown_memory_is_let_go() {
        for (memory, stays) in [(LEAF * 300, true), (LEAF * 30, false)] {
            let mut kit = Kit::new(memory);
            kit.prepare().unwrap();
            assert!(kit.roots.tree.is_some(), "the genesis state fits");
            let after = Some(Account { nonce: 1, ..Default::default() });
            let account = |n: u64| Address::from_word(B256::from(U256::from(0x1000 + n)));
            let created = AccountDiff { after, ..Default::default() };
            let accounts = (0..200).map(|n| (account(n), created.clone())).collect();
            let (root, rows) = kit.root_after(&StateDiff { accounts, ..Default::default() });
            assert_eq!((root, kit.roots.tree.is_some()), (rows, stays), "{memory} bytes");
        }
    }

    /// As when reading all of it takes too long.
    #[test]
    fn where_no_tree_can_be_built_roots_come_from_the_rows() {
        let account = |n| format!(r#""{}":{{"balance":"0x1"}},"#, Address::repeat_byte(n));
        let accounts: String = (0..200).map(account).collect();
        let genesis = GENESIS.replacen(r#""alloc":{"#, &format!(r#""alloc":{{{accounts}"#), 1);
        // Two slots with the same path, far from what the block changes.
        let (mut one, value) = (KeyRule::Wide.account(&FUNDED), U256::from(1));
        one[0] ^= 0x80;
        let mut other = one;
        other[31] ^= 1;
        for is_prepared in [true, false] {
            let mut kit = Kit::open(&genesis, 1 << 20, |database| {
                let txn = database.write().unwrap();
                txn.put_slot(&one, &B256::ZERO, value).unwrap();
                txn.put_slot(&other, &B256::ZERO, value).unwrap();
                txn.commit().unwrap();
            });
            assert!(!is_prepared || kit.prepare().is_err(), "the damage is noticed");
            let before = Some(Account { balance: U256::from(1), ..Default::default() });
            let changed = AccountDiff { before, after: None, wiped: true, ..Default::default() };
            let accounts = [(FUNDED, changed)].into_iter().collect();
            let (root, rows) = kit.root_after(&StateDiff { accounts, ..Default::default() });
            assert_eq!(root, rows);
            assert!(kit.roots.tree.is_none() && kit.roots.given_up);
        }
    }
}
