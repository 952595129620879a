//! EIP-7610: a contract cannot be created where there is storage. revm looks at nonce and code only.

use std::collections::BTreeMap;

use banyan_chainspec::GenesisAccount;
use banyan_primitives::{Address, KECCAK_EMPTY, StateSource, U256};
use revm::{
    Context, Database, Journal,
    context::{BlockEnv, CfgEnv, ContextError, FrameStack},
    context_interface::JournalTr,
    handler::{EthFrame, EvmTr, ItemOrResult, evm::FrameTr},
    interpreter::{
        CreateInputs, FrameInput, interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
    primitives::constants::CALL_STACK_LIMIT,
};

use crate::state::{BlockState, DbError};

/// An EVM that observes EIP-7610.
///
/// Accounts with storage but without nonce and code can only come from the genesis allocation: no
/// transaction leaves one behind since EIP-161, and those left before cannot be hit.
pub(crate) struct Eip7610<'a, E> {
    pub(crate) evm: E,
    pub(crate) alloc: &'a BTreeMap<Address, GenesisAccount>,
}

type Frame = EthFrame<EthInterpreter>;
type FrameError = ContextError<DbError>;

impl<E, S, T, SPEC, C> Eip7610<'_, E>
where
    E: EvmTr<
            Context = Context<BlockEnv, T, CfgEnv<SPEC>, BlockState<S>, Journal<BlockState<S>>, C>,
            Frame = Frame,
        >,
    S: StateSource,
{
    /// The address of the contract to be created, if storage stands there.
    fn occupied(
        &mut self,
        create: &CreateInputs,
        depth: usize,
    ) -> Result<Option<Address>, DbError> {
        let journal = &mut self.evm.ctx_mut().journaled_state;
        let caller = &journal.load_account(create.caller())?.data.info;
        // These fail before the address matters.
        if depth > CALL_STACK_LIMIT as usize || caller.balance < create.value() {
            return Ok(None);
        }
        let address = create.created_address(caller.nonce);
        let Some(slot) = self.genesis_slot(&address) else { return Ok(None) };
        let journal = &mut self.evm.ctx_mut().journaled_state;
        journal.database.hidden_read = true;
        let account = &journal.load_account(address)?.data.info;
        let bare = account.nonce == 0 && account.code_hash == KECCAK_EMPTY;
        let occupied = bare && !journal.database.storage(address, slot)?.is_zero();
        Ok(occupied.then_some(address))
    }

    /// A storage slot that genesis gave to an account with neither nonce nor code. Nothing can
    /// change it but the end of the account.
    fn genesis_slot(&self, address: &Address) -> Option<U256> {
        let genesis = self.alloc.get(address)?;
        let bare = genesis.nonce == 0 && genesis.code.is_empty();
        let mut slots = genesis.storage.iter().filter(|(_, value)| !value.is_zero());
        slots.next().filter(|_| bare).map(|(slot, _)| *slot)
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) {
        let journal = &mut self.evm.ctx_mut().journaled_state;
        if let Some(account) = journal.inner.state.get_mut(&address) {
            account.info.nonce = nonce;
        }
    }
}

impl<E, S, T, SPEC, C> EvmTr for Eip7610<'_, E>
where
    E: EvmTr<
            Context = Context<BlockEnv, T, CfgEnv<SPEC>, BlockState<S>, Journal<BlockState<S>>, C>,
            Frame = Frame,
        >,
    E::Context: revm::context_interface::ContextTr<Db = BlockState<S>>,
    S: StateSource,
{
    type Context = E::Context;
    type Instructions = E::Instructions;
    type Precompiles = E::Precompiles;
    type Frame = Frame;

    fn all(&self) -> (&E::Context, &E::Instructions, &E::Precompiles, &FrameStack<Frame>) {
        self.evm.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut E::Context, &mut E::Instructions, &mut E::Precompiles, &mut FrameStack<Frame>) {
        self.evm.all_mut()
    }

    fn frame_init(
        &mut self,
        init: FrameInit,
    ) -> Result<ItemOrResult<&mut Frame, <Frame as FrameTr>::FrameResult>, FrameError> {
        let occupied = match &init.frame_input {
            FrameInput::Create(create) => self.occupied(create, init.depth)?,
            _ => None,
        };
        let Some(address) = occupied else { return self.evm.frame_init(init) };
        // With a nonce in place revm does all that belongs to a collision.
        self.set_nonce(address, 1);
        let result = match self.evm.frame_init(init)? {
            ItemOrResult::Result(result) => result,
            ItemOrResult::Item(_) => {
                return Err(ContextError::Custom(format!("created over storage at {address}")));
            }
        };
        self.set_nonce(address, 0);
        Ok(ItemOrResult::Result(result))
    }

    fn frame_run(
        &mut self,
    ) -> Result<ItemOrResult<FrameInit, <Frame as FrameTr>::FrameResult>, FrameError> {
        self.evm.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: <Frame as FrameTr>::FrameResult,
    ) -> Result<Option<<Frame as FrameTr>::FrameResult>, FrameError> {
        self.evm.frame_return_result(result)
    }
}
