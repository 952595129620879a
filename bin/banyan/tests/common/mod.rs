//! Runs the real binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests")]

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary with arguments.
pub(crate) fn banyan(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
    command.args(args);
    command
}

/// Runs a subcommand to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    banyan(args).output().unwrap()
}

/// Standard error as text.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running node whose log is JSON; killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Node {
    /// Starts `node` with JSON logs and ports chosen by the system.
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let child = banyan(&["node", "--log.stdout.format=json", "--with-unused-ports"])
            .args(args)
            .stdout(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log, _folder: folder }
    }

    /// All log lines so far. Fails if one is no JSON object.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        // The last line may be half written.
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// Fields of the first line with this message, once it is there.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        wait(message, || {
            let line = self.lines().into_iter().find(|line| {
                line["fields"]["message"].as_str().is_some_and(|text| text.starts_with(message))
            })?;
            Some(line["fields"].clone())
        })
    }

    /// Address of the HTTP, WS or auth port.
    pub(crate) fn addr(&self, server: &str) -> String {
        let line = self.wait_for(&format!("RPC {server} server started"));
        line["url"].as_str().unwrap().to_owned()
    }

    /// Calls a method on the HTTP port.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let addr = self.addr("HTTP");
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = post(&addr, &request.to_string());
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Address of the metrics page.
    pub(crate) fn metrics(&self) -> String {
        let line = self.wait_for("Starting metrics endpoint at ");
        line["message"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    /// Sends a signal. False if there is no process any more.
    pub(crate) fn signal(&self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        Command::new("kill").args([signal, &pid]).status().unwrap().success()
    }

    /// Waits for the end of the process, and looks at its log once more.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let status = wait("the end of the process", || self.child.try_wait().unwrap());
        self.lines();
        status
    }

    /// Sends a signal, and tells how the process ended and after how long.
    pub(crate) fn stop(self, signal: &str) -> (ExitStatus, Duration) {
        let started = Instant::now();
        assert!(self.signal(signal));
        (self.wait(), started.elapsed())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Repeats `probe` until it gives something.
pub(crate) fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = probe() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited {PATIENCE:?} for {what}");
}

/// Body of the answer to a POST of JSON.
pub(crate) fn post(addr: &str, body: &str) -> String {
    let length = body.len();
    http(
        addr,
        &format!(
            "POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ),
    )
}

/// A WebSocket that has subscribed to new heads and has heard of one.
pub(crate) fn subscriber(addr: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
    // A text frame of less than 126 bytes, masked with zeros.
    let frame = [&[0x81, 0x80 | call.len() as u8, 0, 0, 0, 0][..], call.as_bytes()].concat();
    stream.write_all(&frame).unwrap();
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&heard).contains("eth_subscription") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&chunk[..read]);
    }
    stream
}

/// Body of the answer to a GET.
pub(crate) fn get(addr: &str, path: &str) -> String {
    http(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"))
}

/// A server that is short of time may drop a request: it is sent again.
fn http(addr: &str, request: &str) -> String {
    wait("an answer", || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    })
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
