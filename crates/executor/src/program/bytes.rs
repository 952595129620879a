//! Expressions seen as bytes: what memory holds, and what masks and shifts by whole bytes do. ABI
//! coding takes words apart and puts them together again; seen so, it vanishes.

use banyan_primitives::U256;

use super::expr::{Graph, Id, Input, Node, Op, ZERO};

/// A byte: a known one, or one of the bytes of an expression (0 is the most significant).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cell {
    Known(u8),
    Of(Id, u8),
}

/// The bytes of a word, the most significant first.
pub(crate) type Cells = [Cell; 32];

pub(crate) const BLANK: Cell = Cell::Known(0);

impl Graph {
    /// What is known of the bytes of an expression.
    pub(crate) fn cells_of(&self, id: Id) -> Cells {
        if let Some(cells) = self.cells.get(&id) {
            return *cells;
        }
        let known = match &self.nodes()[usize::from(id)] {
            Node::Const(value) => return value.to_be_bytes::<32>().map(Cell::Known),
            Node::Input(Input::Caller | Input::Target | Input::Coinbase) => 12,
            Node::Op(Op::Lt | Op::Slt | Op::Eq | Op::IsZero | Op::Byte, _) => 31,
            _ => 0,
        };
        std::array::from_fn(|i| if i < known { BLANK } else { Cell::Of(id, i as u8) })
    }

    /// The expression with these bytes.
    pub(crate) fn word(&mut self, cells: &Cells) -> Id {
        if let Some(value) = known(cells) {
            return self.constant(value);
        }
        let whole = cells.iter().find_map(|cell| match cell {
            Cell::Of(id, _) => Some(*id),
            Cell::Known(_) => None,
        });
        if let Some(id) = whole.filter(|id| self.cells_of(*id) == *cells) {
            return id;
        }
        if let Some(id) = self.by_cells.get(cells) {
            return *id;
        }
        let id = self.assemble(cells);
        self.cells.insert(id, *cells);
        self.by_cells.insert(*cells, id);
        id
    }

    /// Masks, shifts and joins the pieces.
    fn assemble(&mut self, cells: &Cells) -> Id {
        let constant = cells.map(|cell| match cell {
            Cell::Known(byte) => byte,
            Cell::Of(..) => 0,
        });
        let mut whole = self.constant(U256::from_be_bytes(constant));
        let mut at = 0;
        while at < 32 {
            let Cell::Of(id, first) = cells[at] else {
                at += 1;
                continue;
            };
            let run = |i: usize| cells[at + i] == Cell::Of(id, first + i as u8);
            let len = (0..32 - at.max(usize::from(first))).take_while(|i| run(*i)).count();
            let piece = self.piece(id, usize::from(first), at, len);
            whole = match whole {
                ZERO => piece,
                whole => self.intern(Node::Op(Op::Or, [piece, whole, ZERO])),
            };
            at += len;
        }
        whole
    }

    /// `len` bytes of an expression from byte `from` on, moved to byte `to`; the others zero.
    fn piece(&mut self, id: Id, from: usize, to: usize, len: usize) -> Id {
        let source = self.cells_of(id);
        let moved: Cells = std::array::from_fn(|i| {
            (i + from).checked_sub(to).and_then(|i| source.get(i)).copied().unwrap_or(BLANK)
        });
        let shift = |graph: &mut Self, op, bytes: usize| {
            let bits = graph.constant(U256::from(8 * bytes));
            graph.intern(Node::Op(op, [bits, id, ZERO]))
        };
        let word = match from.cmp(&to) {
            std::cmp::Ordering::Equal => id,
            std::cmp::Ordering::Less => shift(self, Op::Shr, to - from),
            std::cmp::Ordering::Greater => shift(self, Op::Shl, from - to),
        };
        let outside = (0..to).chain(to + len..32);
        if outside.into_iter().all(|i| moved[i] == BLANK) {
            return word;
        }
        let mask = std::array::from_fn(|i| if (to..to + len).contains(&i) { 0xff } else { 0 });
        let mask = self.constant(U256::from_be_bytes::<32>(mask));
        self.intern(Node::Op(Op::And, [word, mask, ZERO]))
    }

    /// `op` if it only moves, keeps or clears whole bytes.
    pub(super) fn bytewise(&mut self, op: Op, a: Id, b: Id) -> Option<Id> {
        let cells = match op {
            Op::And => {
                let (word, mask) = (self.cells_of(a), self.as_constant(b)?.to_be_bytes::<32>());
                if mask.iter().any(|byte| !matches!(byte, 0 | 0xff)) {
                    return None;
                }
                std::array::from_fn(|i| if mask[i] == 0 { BLANK } else { word[i] })
            }
            Op::Or => join(&self.cells_of(a), &self.cells_of(b))?,
            Op::Shl | Op::Shr => {
                let bits = usize::try_from(self.as_constant(a)?).unwrap_or(256).min(256);
                if !bits.is_multiple_of(8) {
                    return None;
                }
                let (word, bytes) = (self.cells_of(b), bits / 8);
                let source = |i: usize| match op {
                    Op::Shl => Some(i + bytes),
                    _ => i.checked_sub(bytes),
                };
                std::array::from_fn(|i| {
                    source(i).and_then(|i| word.get(i)).copied().unwrap_or(BLANK)
                })
            }
            Op::Byte => {
                let index = usize::try_from(self.as_constant(a)?).unwrap_or(32);
                let byte = self.cells_of(b).get(index).copied().unwrap_or(BLANK);
                std::array::from_fn(|i| if i == 31 { byte } else { BLANK })
            }
            Op::Eq => {
                let (a, b) = (self.cells_of(a), self.cells_of(b));
                let differ =
                    |i: usize| matches!((a[i], b[i]), (Cell::Known(a), Cell::Known(b)) if a != b);
                return (0..32).any(differ).then_some(ZERO);
            }
            _ => return None,
        };
        // An AND or OR that cannot be had cheaper in bytes stays what it is.
        let pieces = cells.windows(2).filter(|pair| !adjacent(pair[0], pair[1])).count();
        (pieces <= 4).then(|| self.word(&cells))
    }

    /// The words that `bytes` fill; the last one padded with zeros.
    pub(crate) fn words(&mut self, bytes: &[Cell]) -> Vec<Id> {
        let padded = |chunk: &[Cell]| std::array::from_fn(|i| *chunk.get(i).unwrap_or(&BLANK));
        bytes.chunks(32).map(|chunk| self.word(&padded(chunk))).collect()
    }
}

fn known(cells: &Cells) -> Option<U256> {
    let mut bytes = [0; 32];
    for (byte, cell) in bytes.iter_mut().zip(cells) {
        let Cell::Known(known) = cell else { return None };
        *byte = *known;
    }
    Some(U256::from_be_bytes(bytes))
}

/// OR of words that have no unknown bytes at the same place.
fn join(a: &Cells, b: &Cells) -> Option<Cells> {
    let mut cells = *a;
    for (cell, other) in cells.iter_mut().zip(b) {
        *cell = match (*cell, *other) {
            (Cell::Known(a), Cell::Known(b)) => Cell::Known(a | b),
            (BLANK, other) => other,
            (cell, BLANK) => cell,
            _ => return None,
        };
    }
    Some(cells)
}

fn adjacent(a: Cell, b: Cell) -> bool {
    match (a, b) {
        (Cell::Known(_), Cell::Known(_)) => true,
        (Cell::Of(a, i), Cell::Of(b, j)) => a == b && i + 1 == j,
        _ => false,
    }
}
