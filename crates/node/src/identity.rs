//! Who we are on the network: a secp256k1 key and the enode URL made from it.
//!
//! Banyan speaks no devp2p; launchers ask `admin_nodeInfo` for an enode all the same, and wait
//! until they get one.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
};

use banyan_primitives::{alloy_primitives::hex, keccak256};
use rand::RngCore;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::{Nat, NetworkConfig, NodeError, NodeKey, datadir::DataPaths};

/// The node's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Uncompressed public key without its first byte, hexadecimal.
    pub(crate) public_key: String,
    /// Keccak hash of the public key, hexadecimal: the node id.
    pub(crate) id: String,
    /// Announced address.
    pub(crate) ip: IpAddr,
    /// TCP port.
    pub(crate) port: u16,
    /// UDP port.
    pub(crate) discovery_port: u16,
}

impl Identity {
    /// Loads or makes the key and settles address and ports.
    pub(crate) fn load(config: &NetworkConfig, paths: &DataPaths) -> Result<Self, NodeError> {
        let key = match &config.key {
            NodeKey::Hex(text) => parse_key(text)
                .ok_or_else(|| NodeError::Key { origin: "--p2p-secret-key-hex".to_owned() })?,
            NodeKey::File(path) => read_or_create_key(path)?,
            NodeKey::InDataDir => read_or_create_key(&paths.node_key())?,
        };
        let port = settle_port(config.port, free_tcp_port)?;
        let discovery_port = settle_port(config.discovery_port, free_udp_port)?;
        Ok(Self::new(&key, announced_ip(config), port, discovery_port))
    }

    /// The identity of a node that nobody will ask: for benchmarks.
    pub(crate) const fn anonymous() -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { public_key: String::new(), id: String::new(), ip, port: 0, discovery_port: 0 }
    }

    fn new(key: &SecretKey, ip: IpAddr, port: u16, discovery_port: u16) -> Self {
        let public = PublicKey::from_secret_key(SECP256K1, key).serialize_uncompressed();
        let coordinates = &public[1..];
        Self {
            public_key: hex::encode(coordinates),
            id: hex::encode(keccak256(coordinates)),
            ip,
            port,
            discovery_port,
        }
    }

    /// `enode://KEY@IP:PORT`, with `?discport=` where UDP has another port.
    pub(crate) fn enode(&self) -> String {
        let host = match self.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut url = format!("enode://{}@{host}:{}", self.public_key, self.port);
        if self.discovery_port != self.port {
            url.push_str(&format!("?discport={}", self.discovery_port));
        }
        url
    }
}

/// The external address if one is given; else the one we listen on; else loopback, since an
/// enode needs an address that can be named.
fn announced_ip(config: &NetworkConfig) -> IpAddr {
    match config.nat {
        Nat::External(ip) => ip,
        Nat::Any | Nat::None if config.addr.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Nat::Any | Nat::None => config.addr,
    }
}

fn settle_port(port: u16, free: fn() -> io::Result<u16>) -> Result<u16, NodeError> {
    if port != 0 {
        return Ok(port);
    }
    free().map_err(|error| NodeError::Setup(format!("no free port for --port 0: {error}")))
}

fn free_tcp_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn free_udp_port() -> io::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn parse_key(text: &str) -> Option<SecretKey> {
    let bytes: [u8; 32] = hex::decode(text.trim()).ok()?.try_into().ok()?;
    SecretKey::from_byte_array(bytes).ok()
}

fn read_or_create_key(path: &Path) -> Result<SecretKey, NodeError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            parse_key(&text).ok_or_else(|| NodeError::Key { origin: path.display().to_string() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_key(path),
        Err(error) => Err(NodeError::file("cannot read node key", path)(error)),
    }
}

fn create_key(path: &Path) -> Result<SecretKey, NodeError> {
    let key = random_key();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(NodeError::file("cannot create", parent))?;
    }
    write_secret(path, &hex::encode(key.secret_bytes()))
        .map_err(NodeError::file("cannot write node key", path))?;
    Ok(key)
}

/// Nearly every 32-byte number is a key; the others are drawn again.
fn random_key() -> SecretKey {
    loop {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        if let Ok(key) = SecretKey::from_byte_array(bytes) {
            return key;
        }
    }
}

/// Writes a new file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    /// The generator of the curve: the public key of the secret key 1.
    const GENERATOR: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                             483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

    fn config(key: NodeKey) -> NetworkConfig {
        NetworkConfig {
            addr: Ipv4Addr::UNSPECIFIED.into(),
            nat: Nat::External([172, 16, 0, 10].into()),
            port: 30303,
            discovery_port: 30303,
            key,
        }
    }

    fn load(root: &Path, config: &NetworkConfig) -> Result<Identity, NodeError> {
        Identity::load(config, &DataPaths::at(root.to_path_buf()))
    }

    #[test]
    fn the_enode_names_key_address_and_port() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(NodeKey::Hex(format!("0x{KEY}")));
        let identity = load(dir.path(), &config).unwrap();
        assert_eq!(identity.enode(), format!("enode://{GENERATOR}@172.16.0.10:30303"));
        assert_eq!(identity.id.len(), 64);

        config.discovery_port = 9;
        config.nat = Nat::None;
        let identity = load(dir.path(), &config).unwrap();
        assert_eq!(identity.enode(), format!("enode://{GENERATOR}@127.0.0.1:30303?discport=9"));
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), &config(NodeKey::InDataDir)).unwrap();
        assert_eq!(load(dir.path(), &config(NodeKey::InDataDir)).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join("discovery-secret")).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
        let other = NodeKey::File(dir.path().join("deeper/key"));
        assert_ne!(load(dir.path(), &config(other)).unwrap().id, first.id);
    }

    #[test]
    fn a_broken_key_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "00").unwrap();
        let error = load(dir.path(), &config(NodeKey::File(path.clone()))).unwrap_err();
        assert!(error.to_string().contains("not a secp256k1 key"), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), "00");
    }

    #[test]
    fn port_zero_becomes_a_real_port() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(NodeKey::InDataDir);
        (config.port, config.discovery_port) = (0, 0);
        let identity = load(dir.path(), &config).unwrap();
        assert_ne!(identity.port, 0);
        assert_ne!(identity.discovery_port, 0);
    }
}
