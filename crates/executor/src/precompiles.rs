use banyan_chainspec::Rules;
use banyan_primitives::Address;
use revm::{handler::EthPrecompiles, precompile::Precompiles};

use crate::{
    evm::{op_spec_id, spec_id},
    op_precompiles::OpPrecompileSet,
};

/// Names (EIP-7910) and addresses of the precompiled contracts under `rules`.
pub fn precompiles(rules: &Rules) -> Vec<(String, Address)> {
    let set: &Precompiles = match rules.op {
        None => EthPrecompiles::new(spec_id(rules.fork)).precompiles,
        Some(fork) => OpPrecompileSet::new(op_spec_id(fork)).precompiles(),
    };
    set.inner().iter().map(|(address, code)| (code.id().name().to_owned(), *address)).collect()
}
