//! The client's process: started from a template, killed without warning.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::json;

use crate::http::Http;

/// How often a starting client is asked whether it answers.
const PROBE: Duration = Duration::from_millis(5);

const SIGKILL: i32 = 9;

/// How a client is started, and where it keeps what it keeps.
#[derive(Debug)]
pub struct Launcher {
    /// Command line with placeholders.
    pub command: String,
    /// Command line that makes the database, if that takes one of its own.
    pub init: Option<String>,
    /// Folder of genesis file, secret, data and logs.
    pub folder: PathBuf,
    /// The Engine API's secret.
    pub secret: [u8; 32],
    /// Longest wait for an answer.
    pub patience: Duration,
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    child: Child,
    /// Gives the time of the blow.
    killer: Option<JoinHandle<Instant>>,
    /// The public port.
    pub http: Http,
    /// The Engine port.
    pub auth: Http,
}

impl Launcher {
    /// Makes an empty database.
    pub fn init(&self) -> anyhow::Result<()> {
        let data = self.data();
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        std::fs::create_dir_all(&data)?;
        let Some(init) = &self.init else { return Ok(()) };
        let status = self.expand(init, [0; 3])?.status().context("cannot run --init")?;
        if !status.success() {
            bail!("--init ended with {status}; see {}", self.folder.join("client.log").display());
        }
        Ok(())
    }

    /// Starts the client, without waiting until it answers.
    pub fn spawn(&self) -> anyhow::Result<Client> {
        let [http, auth, p2p] = free_ports()?;
        let child = self.expand(&self.command, [http, auth, p2p])?.spawn();
        let port = |port, secret| Http::new(port, secret, self.patience);
        Ok(Client {
            child: child.context("cannot run --cmd")?,
            killer: None,
            http: port(http, None),
            auth: port(auth, Some(self.secret)),
        })
    }

    /// Bytes that the client has logged so far.
    pub fn log_length(&self) -> u64 {
        self.folder.join("client.log").metadata().map_or(0, |log| log.len())
    }

    /// What it has logged since then.
    pub fn log_since(&self, length: u64) -> anyhow::Result<String> {
        let mut log = File::open(self.folder.join("client.log"))?;
        log.seek(SeekFrom::Start(length))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where the client keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn expand(&self, template: &str, ports: [u16; 3]) -> anyhow::Result<Command> {
        let mut words = self.words(template, ports).into_iter();
        let mut command = Command::new(words.next().context("the command is empty")?);
        let log = File::options().create(true).append(true).open(self.folder.join("client.log"))?;
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0);
        Ok(command)
    }

    fn words(&self, template: &str, ports: [u16; 3]) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let values = [
            ("{genesis}", path(&self.folder.join("genesis.json"))),
            ("{datadir}", path(&self.data())),
            ("{jwt}", path(&self.folder.join("jwt.hex"))),
            ("{http}", ports[0].to_string()),
            ("{auth}", ports[1].to_string()),
            ("{p2p}", ports[2].to_string()),
        ];
        let expand = |word: &str| {
            let replace = |word: String, (from, to): &(&str, String)| word.replace(from, to);
            values.iter().fold(word.to_owned(), replace)
        };
        template.split_whitespace().map(expand).collect()
    }
}

/// Three ports that nobody listens on.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let listeners = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

impl Client {
    /// The process, which leads a group of its own.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until both ports answer. False if the process ended, or if it takes too long.
    pub fn answers(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let deadline = Instant::now() + patience;
        let none = json!([]);
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            let engine = |http: &Http| http.call("eth_blockNumber", &none).is_ok();
            if engine(&self.http) && engine(&self.auth) {
                return Ok(true);
            }
            thread::sleep(PROBE);
        }
        Ok(false)
    }

    /// Kills the client after a while, whatever it does then.
    pub fn kill_after(&mut self, delay: Duration) {
        let group = self.child.id();
        self.killer = Some(thread::spawn(move || {
            thread::sleep(delay);
            // Before, so that what is sent to a dead client does not count as cut off.
            let struck = Instant::now();
            kill(group);
            struck
        }));
    }

    /// Ends the process if it lives. When the killer struck; `None` if the process ended in another
    /// way, or before there was a killer.
    pub fn bury(mut self) -> anyhow::Result<Option<Instant>> {
        let struck = self.killer.take().and_then(|killer| killer.join().ok());
        if self.child.try_wait()?.is_none() {
            kill(self.child.id());
        }
        let status = self.child.wait()?;
        Ok(struck.filter(|_| status.signal() == Some(SIGKILL)))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Fails only if it has ended.
        if matches!(self.child.try_wait(), Ok(None)) {
            kill(self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// `kill -9` to the whole process group.
fn kill(group: u32) {
    let group = format!("-{group}");
    let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_word_by_word() {
        let launcher = Launcher {
            command: String::new(),
            init: None,
            folder: PathBuf::from("a folder"),
            secret: [0; 32],
            patience: Duration::ZERO,
        };
        let words =
            launcher.words("run  --data={datadir} {genesis} {http}:{auth}:{p2p}", [1, 2, 3]);
        assert_eq!(words, ["run", "--data=a folder/data", "a folder/genesis.json", "1:2:3"]);
        assert!(launcher.expand(" ", [1, 2, 3]).is_err());
    }
}
