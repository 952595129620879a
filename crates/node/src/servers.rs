//! Opens the JSON-RPC ports that were asked for, and announces them.

use std::net::SocketAddr;

use banyan_rpc::{
    AuthConfig, HttpConfig, JwtSecret, NodeInfo, Rpc, ServerHandle, ServerLimits, WsConfig,
};

use crate::{
    AuthSettings, Client, NodeConfig, NodeError, PublicSettings, datadir::DataPaths,
    identity::Identity,
};

/// The open ports.
pub(crate) struct Servers {
    handles: Vec<ServerHandle>,
    endpoints: Vec<(&'static str, String)>,
}

impl Servers {
    /// Opens all ports. The messages are read by op-devstack: do not change them.
    pub(crate) async fn open(
        rpc: &Rpc,
        config: &NodeConfig,
        paths: &DataPaths,
    ) -> Result<Self, NodeError> {
        let mut servers = Self { handles: Vec::new(), endpoints: Vec::new() };
        servers.open_public(rpc, config.http.as_ref(), config.ws.as_ref()).await?;
        if let Some(auth) = &config.auth {
            servers.open_auth(rpc, auth, paths).await?;
        }
        Ok(servers)
    }

    async fn open_public(
        &mut self,
        rpc: &Rpc,
        http: Option<&PublicSettings>,
        ws: Option<&PublicSettings>,
    ) -> Result<(), NodeError> {
        match (http, ws) {
            (Some(http), Some(ws)) if http.addr == ws.addr && http.addr.port() != 0 => {
                let shared = rpc.serve_http_and_ws(http_config(http), ws_config(ws)).await?;
                self.announce_http(shared.local_addr());
                self.announce_ws(shared.local_addr());
                self.handles.push(shared);
            }
            (http, ws) => {
                if let Some(http) = http {
                    let server = rpc.serve_http(http_config(http)).await?;
                    self.announce_http(server.local_addr());
                    self.handles.push(server);
                }
                if let Some(ws) = ws {
                    let server = rpc.serve_ws(ws_config(ws)).await?;
                    self.announce_ws(server.local_addr());
                    self.handles.push(server);
                }
            }
        }
        Ok(())
    }

    async fn open_auth(
        &mut self,
        rpc: &Rpc,
        auth: &AuthSettings,
        paths: &DataPaths,
    ) -> Result<(), NodeError> {
        let file = auth.jwt_secret.clone().unwrap_or_else(|| paths.jwt_secret());
        let secret = JwtSecret::read_or_create(&file)?;
        let config = AuthConfig { addr: auth.addr, secret, limits: ServerLimits::AUTH };
        let server = rpc.serve_auth(config).await?;
        let addr = server.local_addr();
        tracing::info!(url = %addr, jwt_secret = %file.display(), "RPC auth server started");
        self.endpoints.push(("auth", format!("http://{addr}")));
        self.handles.push(server);
        Ok(())
    }

    fn announce_http(&mut self, addr: SocketAddr) {
        tracing::info!(url = %addr, "RPC HTTP server started");
        self.endpoints.push(("http", format!("http://{addr}")));
    }

    fn announce_ws(&mut self, addr: SocketAddr) {
        tracing::info!(url = %addr, "RPC WS server started");
        self.endpoints.push(("ws", format!("ws://{addr}")));
    }

    /// URLs of the open ports by name.
    pub(crate) fn endpoints(&self) -> Vec<(&'static str, String)> {
        self.endpoints.clone()
    }

    /// Closes all ports.
    pub(crate) async fn stop(self) {
        let closing: Vec<_> =
            self.handles.into_iter().map(|server| tokio::spawn(server.stop())).collect();
        for task in closing {
            // A panic while closing changes nothing: the process ends next.
            let _ = task.await;
        }
    }
}

fn http_config(settings: &PublicSettings) -> HttpConfig {
    HttpConfig {
        addr: settings.addr,
        api: settings.api.clone(),
        cors_origins: settings.origins.clone(),
        hosts: settings.hosts.clone(),
        limits: settings.limits,
    }
}

fn ws_config(settings: &PublicSettings) -> WsConfig {
    WsConfig {
        addr: settings.addr,
        api: settings.api.clone(),
        origins: settings.origins.clone(),
        limits: settings.limits,
    }
}

/// Who we are, for `admin_nodeInfo` and `web3_clientVersion`.
pub(crate) fn node_info(client: &Client, identity: &Identity) -> NodeInfo {
    let short: String = client.commit.chars().take(8).collect();
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    NodeInfo {
        name: client.name.clone(),
        version: format!("v{}", client.version),
        commit: client.commit.clone(),
        client_version: format!("{}/v{}-{short}/{platform}", client.name, client.version),
        enode: identity.enode(),
        enr: String::new(),
        id: identity.id.clone(),
        ip: identity.ip.to_string(),
        discovery_port: identity.discovery_port,
        listener_port: identity.port,
    }
}
