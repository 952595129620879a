use banyan_executor::ExecutionStats;
use banyan_primitives::{Transaction, TransactionTrait};

/// Which way the committer went with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Transfer,
    Program,
    /// The EVM, to learn a program or to check one.
    Checked,
    /// The EVM, since no path of the program fitted.
    Miss,
    Evm,
}

impl Way {
    /// From the statistics before and after a transaction.
    pub(super) fn between(before: &ExecutionStats, after: &ExecutionStats) -> Self {
        let ways = [
            (after.transfers > before.transfers, Self::Transfer),
            (after.programs > before.programs, Self::Program),
            (after.program_misses > before.program_misses, Self::Miss),
            (after.program_checks > before.program_checks, Self::Checked),
        ];
        ways.into_iter().find_map(|(taken, way)| taken.then_some(way)).unwrap_or(Self::Evm)
    }
}

/// What a transaction is, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Transfer,
    Program,
    Checked,
    Miss,
    Call,
    Creation,
    Deposit,
    Other,
}

impl Class {
    /// All, in the order of the report.
    pub(super) const ALL: [Self; 8] = [
        Self::Transfer,
        Self::Program,
        Self::Checked,
        Self::Miss,
        Self::Call,
        Self::Creation,
        Self::Deposit,
        Self::Other,
    ];

    /// The class of a transaction that took this way; `has_code`: there is a contract at its
    /// receiver.
    pub(super) fn of(tx: &Transaction, way: Way, has_code: bool) -> Self {
        match way {
            Way::Transfer => Self::Transfer,
            Way::Program => Self::Program,
            Way::Checked => Self::Checked,
            Way::Miss => Self::Miss,
            Way::Evm if tx.is_deposit() => Self::Deposit,
            Way::Evm if tx.kind().is_create() => Self::Creation,
            Way::Evm if has_code => Self::Call,
            Way::Evm => Self::Other,
        }
    }

    /// A call that a program might answer.
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::Program | Self::Checked | Self::Miss | Self::Call)
    }

    /// Name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transfer => "plain transfers",
            Self::Program => "calls answered by programs",
            Self::Checked => "calls that teach or check one",
            Self::Miss => "calls no path of one fitted",
            Self::Call => "calls without a program",
            Self::Creation => "creations",
            Self::Deposit => "deposits",
            Self::Other => "others",
        }
    }

    /// Name in JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Transfer => "transfers",
            Self::Program => "programs",
            Self::Checked => "programChecks",
            Self::Miss => "programMisses",
            Self::Call => "callsWithoutProgram",
            Self::Creation => "creations",
            Self::Deposit => "deposits",
            Self::Other => "others",
        }
    }
}
