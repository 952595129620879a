//! One way through a call: under these conditions, these effects.

use super::expr::{Graph, Id, Node, ZERO, operands};

/// What must hold for a path to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Guard {
    Zero(Id),
    NonZero(Id),
    Equal(Id, Id),
    Distinct(Id, Id),
    Less(Id, Id),
    NotLess(Id, Id),
}

impl Guard {
    pub(crate) fn operands(&self) -> [Id; 2] {
        match *self {
            Self::Zero(a) | Self::NonZero(a) => [a, ZERO],
            Self::Equal(a, b) | Self::Distinct(a, b) => [a, b],
            Self::Less(a, b) | Self::NotLess(a, b) => [a, b],
        }
    }
}

/// A piece of a path. All come before any effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Computes an expression whose operands are there.
    Compute(Id),
    Check(Guard),
}

/// Where gas goes, in the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GasStep {
    /// The same on each run of the path.
    Spend(u64),
    /// An SSTORE: its cost and refund depend on the values of the slot.
    Store { original: Id, present: Id, new: Id, cold: bool },
    /// A call that passes on at most `cap` (and 63/64 of what is left).
    Enter { cap: u64 },
    /// The end of that call.
    Leave,
}

/// The last value of a slot that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) account: Id,
    pub(crate) key: Id,
    pub(crate) original: Id,
    pub(crate) value: Id,
}

/// A log to be emitted: data are the first `len` bytes of the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogTemplate {
    pub(crate) account: Id,
    pub(crate) topics: Vec<Id>,
    pub(crate) words: Vec<Id>,
    pub(crate) len: usize,
}

/// What a path does if its guards hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    pub(crate) gas: Vec<GasStep>,
    pub(crate) writes: Vec<Write>,
    pub(crate) logs: Vec<LogTemplate>,
    /// What slots held before that the call touched, needed or not: whoever keeps note of reads
    /// sees those that the EVM makes.
    pub(crate) touched: Vec<Id>,
}

impl Outputs {
    fn for_each(&self, mut visit: impl FnMut(Id)) {
        for step in &self.gas {
            if let GasStep::Store { original, present, new, .. } = step {
                [original, present, new].into_iter().for_each(|id| visit(*id));
            }
        }
        for Write { account, key, original, value } in &self.writes {
            [account, key, original, value].into_iter().for_each(|id| visit(*id));
        }
        for log in &self.logs {
            visit(log.account);
            log.topics.iter().chain(&log.words).for_each(|id| visit(*id));
        }
        self.touched.iter().for_each(|id| visit(*id));
    }
}

/// A guarded straight-line program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Outputs,
    /// Slots that the call touches: account, key, what they held before.
    pub(crate) slots: Vec<[Id; 3]>,
    /// Accounts whose code the call looks at.
    pub(crate) accounts: Vec<Id>,
}

impl Path {
    /// Puts each guard right behind what it needs, so that a path that does not fit costs little,
    /// and leaves out what nothing needs.
    pub(crate) fn new(graph: &Graph, guards: &[Guard], outputs: Outputs) -> Self {
        let mut schedule =
            Schedule { graph, steps: Vec::new(), placed: vec![false; graph.nodes().len()] };
        for guard in guards {
            guard.operands().into_iter().for_each(|id| schedule.place(id));
            schedule.steps.push(Step::Check(*guard));
        }
        outputs.for_each(|id| schedule.place(id));
        let slot = |id: &Id| match graph.nodes()[usize::from(*id)] {
            Node::Load(account, key) => Some([account, key, *id]),
            _ => None,
        };
        let slots = outputs.touched.iter().filter_map(slot).collect();
        let account = |step: &Step| match step {
            Step::Compute(id) => match graph.nodes()[usize::from(*id)] {
                Node::Code(account) => Some(account),
                _ => None,
            },
            Step::Check(_) => None,
        };
        let accounts = schedule.steps.iter().filter_map(account).collect();
        Self { steps: schedule.steps, outputs, slots, accounts }
    }
}

struct Schedule<'a> {
    graph: &'a Graph,
    steps: Vec<Step>,
    placed: Vec<bool>,
}

impl Schedule<'_> {
    /// Operands first. Depth is bounded by the size of the graph, which is bounded.
    fn place(&mut self, id: Id) {
        let node = &self.graph.nodes()[usize::from(id)];
        if matches!(node, Node::Const(_)) || self.placed[usize::from(id)] {
            return;
        }
        self.placed[usize::from(id)] = true;
        operands(node, |operand| self.place(operand));
        self.steps.push(Step::Compute(id));
    }
}
