//! Which methods a port serves: one table per family.

use jsonrpsee::RpcModule;

use crate::{
    Namespace, admin, banyan, debug, engine, eth, miner, net, shared::Shared, txpool, web3,
};

/// The methods of the families in `api`; `rpc_modules` is always there.
pub(crate) fn public(shared: Shared, api: &[Namespace]) -> RpcModule<Shared> {
    let mut module = RpcModule::new(shared);
    for namespace in api {
        match namespace {
            Namespace::Admin => admin::register(&mut module),
            Namespace::Banyan => banyan::register(&mut module),
            Namespace::Debug => debug::register(&mut module),
            Namespace::Eth => eth::register(&mut module),
            Namespace::Miner => miner::register(&mut module),
            Namespace::Net => net::register(&mut module),
            Namespace::Testing => engine::testing::register(&mut module),
            Namespace::TxPool => txpool::register(&mut module),
            Namespace::Web3 => web3::register(&mut module),
            Namespace::Rpc => {}
        }
    }
    let modules: serde_json::Map<_, _> = api
        .iter()
        .chain(&[Namespace::Rpc])
        .map(|namespace| (namespace.prefix().to_owned(), "1.0".into()))
        .collect();
    module
        .register_method("rpc_modules", move |_, _, _| serde_json::Value::Object(modules.clone()))
        .expect("method names are unique");
    module
}
