//! The precompiled contracts of the OP Stack: op-revm's, corrected where its release is behind.

use std::sync::OnceLock;

use banyan_primitives::Address;
use op_revm::{OpSpecId, precompiles::OpPrecompiles};
use revm::{
    context::Cfg,
    context_interface::ContextTr,
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
    precompile::{
        EthPrecompileResult, Precompile, PrecompileHalt, PrecompileId, Precompiles, bn254,
        eth_precompile_fn,
    },
};

/// The largest input of the pairing precompile since Karst, bytes: 300 pairs. op-revm 20 still has
/// Jovian's 427.
const KARST_PAIRING_MAX_INPUT: usize = 57_600;

/// The precompiles of one fork; they stay for the life of the EVM.
pub(crate) struct OpPrecompileSet(pub(crate) EthPrecompiles);

impl OpPrecompileSet {
    pub(crate) fn new(spec: OpSpecId) -> Self {
        let precompiles = match spec {
            OpSpecId::KARST | OpSpecId::INTEROP => karst(),
            _ => OpPrecompiles::new_with_spec(spec).precompiles(),
        };
        Self(EthPrecompiles { precompiles, spec: spec.into() })
    }
}

fn karst() -> &'static Precompiles {
    static KARST: OnceLock<Precompiles> = OnceLock::new();
    KARST.get_or_init(|| {
        let mut set = OpPrecompiles::new_with_spec(OpSpecId::KARST).precompiles().clone();
        set.extend([Precompile::new(PrecompileId::Bn254Pairing, bn254::pair::ADDRESS, pairing)]);
        set
    })
}

fn limited_pairing(input: &[u8], gas_limit: u64) -> EthPrecompileResult {
    if input.len() > KARST_PAIRING_MAX_INPUT {
        return Err(PrecompileHalt::Bn254PairLength);
    }
    let (per_pair, base) = (bn254::pair::ISTANBUL_PAIR_PER_POINT, bn254::pair::ISTANBUL_PAIR_BASE);
    bn254::run_pair(input, per_pair, base, gas_limit)
}

eth_precompile_fn!(pairing, limited_pairing);

impl<CTX: ContextTr> PrecompileProvider<CTX> for OpPrecompileSet {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        self.0.run(context, inputs)
    }

    fn warm_addresses(&self) -> Box<impl Iterator<Item = Address>> {
        self.0.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.0.contains(address)
    }
}
