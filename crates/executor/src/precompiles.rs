//! The precompiled contracts by name, and as calls may pretend them to be.

use banyan_chainspec::Rules;
use banyan_primitives::Address;
use revm::{
    context::Cfg,
    context_interface::ContextTr,
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
};

use crate::{
    StateOverrides,
    evm::{op_spec_id, spec_id},
    op_precompiles::OpPrecompileSet,
};

/// Names (EIP-7910) and addresses of the precompiled contracts under `rules`.
pub fn precompiles(rules: &Rules) -> Vec<(String, Address)> {
    let set = match rules.op {
        None => EthPrecompiles::new(spec_id(rules.fork)),
        Some(fork) => OpPrecompileSet::new(op_spec_id(fork)).0,
    };
    let named = |(address, code): (&Address, &revm::precompile::Precompile)| {
        (code.id().name().to_owned(), *address)
    };
    set.precompiles.inner().iter().map(named).collect()
}

/// The precompiles of a fork, some of them moved or hidden.
pub(crate) struct CallPrecompiles<'a> {
    pub(crate) set: EthPrecompiles,
    pub(crate) overrides: &'a StateOverrides,
}

impl CallPrecompiles<'_> {
    /// Where the precompile at `address` really is.
    fn origin(&self, address: &Address) -> Option<Address> {
        match self.overrides.moved_precompiles.get(address) {
            Some(origin) => Some(*origin),
            None if self.overrides.hidden_precompiles.contains(address) => None,
            None => Some(*address),
        }
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for CallPrecompiles<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        match self.origin(&inputs.bytecode_address) {
            None => Ok(None),
            Some(origin) if origin == inputs.bytecode_address => self.set.run(context, inputs),
            Some(origin) => {
                let inputs = CallInputs { bytecode_address: origin, ..inputs.clone() };
                self.set.run(context, &inputs)
            }
        }
    }

    fn warm_addresses(&self) -> Box<impl Iterator<Item = Address>> {
        self.set.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.origin(address).is_some_and(|origin| self.set.contains(&origin))
    }
}
