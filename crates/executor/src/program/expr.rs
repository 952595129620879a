//! Expressions over what a call is given and the state before it, each distinct one held once.

use std::sync::Arc;

use banyan_primitives::{B256, HashMap, U256};
use revm::interpreter::instructions::i256::{i256_cmp, i256_div, i256_mod};

use super::bytes::Cells;

/// Index of an expression in its [`Graph`], and of its value in the register file.
pub(crate) type Id = u16;

/// Most expressions that the programs of one key may hold together.
const MAX_NODES: usize = 2048;

/// The constant zero; stands in for operands that an operator does not have.
pub(crate) const ZERO: Id = 0;

/// A word that the transaction or the block gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// 32 bytes of calldata from this offset on.
    Calldata(u16),
    Caller,
    Target,
    Value,
    Coinbase,
    Timestamp,
    Number,
    PrevRandao,
    GasLimit,
    BaseFee,
    ChainId,
}

/// An operator of the EVM on words. GT and SGT are LT and SLT with swapped operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Add,
    Mul,
    Sub,
    Div,
    Sdiv,
    Mod,
    Smod,
    AddMod,
    MulMod,
    Exp,
    SignExtend,
    Lt,
    Slt,
    Eq,
    IsZero,
    And,
    Or,
    Xor,
    Not,
    Byte,
    Shl,
    Shr,
    Sar,
    Clz,
}

/// One expression. Operands come before it in the graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Const(U256),
    Input(Input),
    Op(Op, [Id; 3]),
    /// Hash of the first so many bytes of these words.
    Keccak(Arc<[Id]>, u16),
    /// Value of a slot (account, key) before the transaction.
    Load(Id, Id),
    /// Code hash of an account before the transaction; that of empty code where there is none.
    Code(Id),
}

/// Expressions without duplicates. Adding one simplifies it first.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id>,
    /// What is known of the bytes of an expression, and which expression has these bytes.
    pub(super) cells: HashMap<Id, Cells>,
    pub(super) by_cells: HashMap<Cells, Id>,
    full: bool,
}

impl Default for Graph {
    fn default() -> Self {
        let (ids, cells) = (HashMap::default(), HashMap::default());
        let by_cells = HashMap::default();
        let mut graph = Self { nodes: Vec::new(), ids, cells, by_cells, full: false };
        graph.constant(U256::ZERO);
        graph
    }
}

impl Graph {
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Something did not fit: what was built since is worthless.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn constant(&mut self, value: U256) -> Id {
        self.intern(Node::Const(value))
    }

    pub(crate) fn as_constant(&self, id: Id) -> Option<U256> {
        match self.nodes[usize::from(id)] {
            Node::Const(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Id {
        self.intern(Node::Input(input))
    }

    pub(crate) fn load(&mut self, account: Id, key: Id) -> Id {
        self.intern(Node::Load(account, key))
    }

    pub(crate) fn code(&mut self, account: Id) -> Id {
        self.intern(Node::Code(account))
    }

    /// Hash of the first `len` bytes of `words`.
    pub(crate) fn keccak(&mut self, words: Vec<Id>, len: u16) -> Id {
        let constants: Option<Vec<U256>> =
            words.iter().map(|word| self.as_constant(*word)).collect();
        match constants {
            Some(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(U256::to_be_bytes::<32>).collect();
                self.constant(banyan_primitives::keccak256(&bytes[..usize::from(len)]).into())
            }
            None => self.intern(Node::Keccak(words.into(), len)),
        }
    }

    /// `op` on `args`; those it does not have are [`ZERO`].
    pub(crate) fn op(&mut self, op: Op, args: [Id; 3]) -> Id {
        let [a, b, c] = args;
        if let (Some(a), Some(b), Some(c)) =
            (self.as_constant(a), self.as_constant(b), self.as_constant(c))
        {
            return self.constant(apply(op, a, b, c));
        }
        let (a, b) = match op {
            // Constants come second, so that equal expressions look equal.
            Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor | Op::Eq
                if self.as_constant(a).is_some() || (self.as_constant(b).is_none() && a > b) =>
            {
                (b, a)
            }
            _ => (a, b),
        };
        let simple = self.identity(op, a, b).or_else(|| self.bytewise(op, a, b));
        simple.unwrap_or_else(|| self.intern(Node::Op(op, [a, b, c])))
    }

    /// The expression itself, without a look for a simpler one.
    pub(super) fn intern(&mut self, node: Node) -> Id {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        if self.nodes.len() >= MAX_NODES {
            self.full = true;
            return ZERO;
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node.clone());
        self.ids.insert(node, id);
        id
    }

    /// What arithmetic says. A constant stands second where the order does not matter.
    fn identity(&mut self, op: Op, a: Id, b: Id) -> Option<Id> {
        let (first, second) = (self.as_constant(a), self.as_constant(b));
        let zero = second == Some(U256::ZERO);
        Some(match op {
            Op::Add | Op::Or | Op::Xor if zero => a,
            Op::Sub if zero => a,
            Op::Mul | Op::And if zero => ZERO,
            Op::Mul | Op::Div if second == Some(U256::ONE) => a,
            Op::And if second == Some(U256::MAX) || a == b => a,
            Op::Or if a == b => a,
            Op::Xor | Op::Sub | Op::Lt | Op::Slt if a == b => ZERO,
            Op::Eq if a == b => self.constant(U256::ONE),
            Op::Eq if zero => self.op(Op::IsZero, [a, ZERO, ZERO]),
            Op::Lt if zero => ZERO,
            Op::Shl | Op::Shr | Op::Sar if first == Some(U256::ZERO) => b,
            Op::IsZero => self.double_negation(a)?,
            Op::Mul | Op::Div => {
                // By a power of two.
                let shift = second.filter(|value| value.count_ones() == 1)?.trailing_zeros();
                let shift = self.constant(U256::from(shift));
                let op = if op == Op::Mul { Op::Shl } else { Op::Shr };
                self.op(op, [shift, a, ZERO])
            }
            _ => return None,
        })
    }

    /// ISZERO(ISZERO(x)) is x where x is 0 or 1.
    fn double_negation(&self, a: Id) -> Option<Id> {
        match self.nodes[usize::from(a)] {
            Node::Op(Op::IsZero, [inner, ..]) if self.is_bool(inner) => Some(inner),
            _ => None,
        }
    }

    pub(super) fn is_bool(&self, id: Id) -> bool {
        matches!(self.nodes[usize::from(id)], Node::Op(Op::Lt | Op::Slt | Op::Eq | Op::IsZero, _))
    }
}

/// Calls `visit` with the operands of a node.
pub(crate) fn operands(node: &Node, mut visit: impl FnMut(Id)) {
    match node {
        Node::Const(_) | Node::Input(_) => {}
        Node::Op(_, args) => args.iter().for_each(|arg| visit(*arg)),
        Node::Keccak(words, _) => words.iter().for_each(|word| visit(*word)),
        Node::Load(account, key) => [account, key].into_iter().for_each(|arg| visit(*arg)),
        Node::Code(account) => visit(*account),
    }
}

/// The operator as the EVM has it, operands in the order of the stack, the top first.
pub(crate) fn apply(op: Op, a: U256, b: U256, c: U256) -> U256 {
    let flag = |flag: bool| if flag { U256::ONE } else { U256::ZERO };
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Div => a.checked_div(b).unwrap_or_default(),
        Op::Sdiv => i256_div(a, b),
        Op::Mod => a.checked_rem(b).unwrap_or_default(),
        Op::Smod => i256_mod(a, b),
        Op::AddMod => a.add_mod(b, c),
        Op::MulMod => a.mul_mod(b, c),
        Op::Exp => a.pow(b),
        Op::SignExtend => sign_extend(a, b),
        Op::Lt => flag(a < b),
        Op::Slt => flag(i256_cmp(&a, &b).is_lt()),
        Op::Eq => flag(a == b),
        Op::IsZero => flag(a.is_zero()),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Not => !a,
        Op::Byte => match usize::try_from(a) {
            Ok(index) if index < 32 => U256::from(b.byte(31 - index)),
            _ => U256::ZERO,
        },
        Op::Shl => shift(a).map_or(U256::ZERO, |bits| b << bits),
        Op::Shr => shift(a).map_or(U256::ZERO, |bits| b >> bits),
        Op::Sar => b.arithmetic_shr(shift(a).unwrap_or(255)),
        Op::Clz => U256::from(a.leading_zeros()),
    }
}

/// How far to shift, if anything can be left.
fn shift(by: U256) -> Option<usize> {
    usize::try_from(by).ok().filter(|bits| *bits < 256)
}

fn sign_extend(ext: U256, x: U256) -> U256 {
    match usize::try_from(ext) {
        Ok(ext) if ext < 31 => {
            let bit = 8 * ext + 7;
            let mask = (U256::ONE << bit) - U256::ONE;
            if x.bit(bit) { x | !mask } else { x & mask }
        }
        _ => x,
    }
}

/// A word as the hash it is.
pub(crate) fn hash_of(value: U256) -> B256 {
    value.into()
}
