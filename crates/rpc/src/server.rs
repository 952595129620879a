use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use banyan_chain::ChainHandle;
use banyan_payload::PayloadHandle;
use banyan_txpool::PoolHandle;
use jsonrpsee::{
    Methods,
    core::traits::IdProvider,
    server::{
        BatchRequestConfig, PingConfig, RandomIntegerIdProvider, Server, ServerConfig,
        middleware::rpc::RpcServiceBuilder,
    },
    types::SubscriptionId,
};
use tower::ServiceBuilder;

use crate::{
    AuthConfig, HttpConfig, Namespace, NodeInfo, RpcConfig, ServerLimits, WsConfig, engine,
    gate::{Gate, cors},
    meter::{Meter, Pulse},
    methods,
    shared::Shared,
};

/// How long [`ServerHandle::stop`] waits for open connections.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Method families of the Engine API port, besides its own. `miner_` is there for rollup-boost and
/// for an op-batcher that talks to this port.
const AUTH_FAMILIES: [Namespace; 4] =
    [Namespace::Eth, Namespace::Net, Namespace::Web3, Namespace::Miner];

/// What the methods work on.
#[derive(Clone, Debug)]
pub struct RpcContext {
    /// The chain.
    pub chain: ChainHandle,
    /// The pool.
    pub pool: PoolHandle,
    /// The builder.
    pub payload: PayloadHandle,
    /// Settings.
    pub config: RpcConfig,
    /// Who we are.
    pub node_info: NodeInfo,
}

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr}: {source}; choose another address or port")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// An origin is no valid header value.
    #[error("{0:?} is not a valid origin")]
    Origin(String),
}

/// An open port. Dropping all handles closes it, [`ServerHandle::stop`] also waits.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    local_addr: SocketAddr,
    inner: jsonrpsee::server::ServerHandle,
}

impl ServerHandle {
    /// The address it listens on, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Closes the port and waits until its connections are gone, at most one second.
    pub async fn stop(self) {
        // An error says that it was stopped before.
        let _ = self.inner.stop();
        if tokio::time::timeout(STOP_PATIENCE, self.inner.stopped()).await.is_err() {
            tracing::warn!(target: "rpc", addr = %self.local_addr, "connections were cut");
        }
    }
}

/// The JSON-RPC methods with all they share between ports; cheap to clone.
#[derive(Clone, Debug)]
pub struct Rpc {
    shared: Shared,
    local: Arc<OnceLock<Methods>>,
    pulse: Pulse,
}

impl Rpc {
    /// Sets up the methods, and becomes the pool's listener.
    pub fn new(context: RpcContext) -> Self {
        Self { shared: Shared::new(context), local: Arc::default(), pulse: Pulse::default() }
    }

    /// Opens a public HTTP port.
    pub async fn serve_http(&self, config: HttpConfig) -> Result<ServerHandle, ServeError> {
        let port = Port {
            addr: config.addr,
            transport: Transport::Http,
            limits: config.limits,
            cors_origins: config.cors_origins,
            gate: Gate { hosts: config.hosts.into(), ..Gate::default() },
            pulse: Pulse::default(),
        };
        port.open(methods::public(self.shared.clone(), &config.api)).await
    }

    /// Opens a public WebSocket port.
    pub async fn serve_ws(&self, config: WsConfig) -> Result<ServerHandle, ServeError> {
        let port = Port {
            addr: config.addr,
            transport: Transport::Ws,
            limits: config.limits,
            cors_origins: Vec::new(),
            gate: Gate { ws_origins: config.origins.into(), ..Gate::default() },
            pulse: Pulse::default(),
        };
        port.open(methods::public(self.shared.clone(), &config.api)).await
    }

    /// Opens one public port for both, at the HTTP address, with the method families of both.
    pub async fn serve_http_and_ws(
        &self,
        http: HttpConfig,
        ws: WsConfig,
    ) -> Result<ServerHandle, ServeError> {
        let api: BTreeSet<_> = http.api.into_iter().chain(ws.api).collect();
        let api: Vec<_> = api.into_iter().collect();
        let port = Port {
            addr: http.addr,
            transport: Transport::Both,
            limits: http.limits,
            cors_origins: http.cors_origins,
            gate: Gate {
                ws_origins: ws.origins.into(),
                hosts: http.hosts.into(),
                ..Gate::default()
            },
            pulse: Pulse::default(),
        };
        port.open(methods::public(self.shared.clone(), &api)).await
    }

    /// Opens the Engine API port (HTTP and WebSocket, JWT); `eth_`, `net_`, `web3_` and
    /// `miner_` are served there too.
    pub async fn serve_auth(&self, config: AuthConfig) -> Result<ServerHandle, ServeError> {
        let port = Port {
            addr: config.addr,
            transport: Transport::Both,
            limits: config.limits,
            cors_origins: Vec::new(),
            // Whoever has the secret may come from anywhere.
            gate: Gate {
                secret: Some(Arc::new(config.secret)),
                ws_origins: Arc::new(["*".to_owned()]),
                ..Gate::default()
            },
            pulse: self.pulse.clone(),
        };
        port.open(self.auth_methods()).await
    }

    /// Answers one request in this process, with the methods of all ports: decoders and handlers
    /// are those that clients reach through the sockets. For the dev chain's driver, benchmarks
    /// and fixtures.
    pub async fn request(&self, request: &str) -> String {
        let methods = self.local.get_or_init(|| {
            let shared = self.shared.with_own_limits();
            let mut module = methods::public(shared, &Namespace::every());
            engine::register(&mut module);
            module.into()
        });
        match methods.raw_json_request(request, 1).await {
            Ok((answer, _)) => answer.get().to_owned(),
            Err(error) => serde_json::json!({
                "jsonrpc": "2.0",
                "id": null,
                "error": { "code": -32700, "message": error.to_string() },
            })
            .to_string(),
        }
    }

    /// When a consensus client last moved the head through the Engine API port.
    pub fn last_forkchoice(&self) -> Option<Instant> {
        self.pulse.last()
    }

    fn auth_methods(&self) -> Methods {
        let shared = self.shared.with_own_limits();
        let mut module = methods::public(shared, &AUTH_FAMILIES);
        engine::register(&mut module);
        module.into()
    }
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Http,
    Ws,
    Both,
}

/// A port about to be opened.
#[derive(Debug)]
struct Port {
    addr: SocketAddr,
    transport: Transport,
    limits: ServerLimits,
    cors_origins: Vec<String>,
    gate: Gate,
    pulse: Pulse,
}

impl Port {
    async fn open(self, methods: impl Into<Methods>) -> Result<ServerHandle, ServeError> {
        let config = ServerConfig::builder()
            .max_request_body_size(self.limits.max_request_bytes)
            .max_response_body_size(self.limits.max_response_bytes)
            .max_connections(self.limits.max_connections)
            .max_subscriptions_per_connection(self.limits.max_subscriptions)
            // The meter keeps the limit: it answers as geth does. This one stands before the
            // entries are parsed.
            .set_batch_request_config(BatchRequestConfig::Limit(self.limits.hard_max_batch()))
            .enable_ws_ping(PingConfig::default())
            .set_id_provider(HexIds);
        let config = match self.transport {
            Transport::Http => config.http_only(),
            Transport::Ws => config.ws_only(),
            Transport::Both => config,
        };
        let methods = methods.into();
        let (max_batch, max_response) = (self.limits.max_batch, self.limits.max_response_bytes);
        let meter = Meter::new(&methods, max_batch, max_response, self.pulse);
        let gate = Gate { max_request_bytes: self.limits.max_request_bytes, ..self.gate };
        let middleware = ServiceBuilder::new().option_layer(cors(&self.cors_origins)?).layer(gate);
        let failed = |source| ServeError::Bind { addr: self.addr, source };
        let server = Server::builder()
            .set_config(config.build())
            .set_http_middleware(middleware)
            .set_rpc_middleware(RpcServiceBuilder::new().layer(meter))
            .build(self.addr)
            .await
            .map_err(failed)?;
        let local_addr = server.local_addr().map_err(failed)?;
        Ok(ServerHandle { local_addr, inner: server.start(methods) })
    }
}

/// Subscription ids as wallets expect them: hexadecimal text.
#[derive(Debug)]
pub(crate) struct HexIds;

impl HexIds {
    /// A fresh id.
    pub(crate) fn next_text() -> String {
        match RandomIntegerIdProvider.next_id() {
            SubscriptionId::Num(number) => format!("{number:#x}"),
            SubscriptionId::Str(text) => text.into_owned(),
        }
    }
}

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(Self::next_text().into())
    }
}

#[cfg(test)]
mod tests;
