//! The sending process: one thread per connection, one request at a time on each.

use std::{
    io::{BufRead, BufReader, Error, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::NodeError;

/// What the sending process is told.
#[derive(Clone, Debug)]
pub struct IngestClient {
    /// The node's HTTP port.
    pub address: SocketAddr,
    /// File of requests, one per line.
    pub requests: PathBuf,
    /// Accounts that send, each in turn: those of one account go over one connection, in order.
    pub senders: u32,
    /// Keep-alive connections.
    pub connections: u32,
}

impl IngestClient {
    /// As arguments of this program.
    pub(super) fn arguments(&self) -> Vec<String> {
        let numbers = [("--senders", self.senders), ("--connections", self.connections)];
        let mut arguments = vec![
            "bench".to_owned(),
            "ingest-client".to_owned(),
            "--address".to_owned(),
            self.address.to_string(),
            "--requests".to_owned(),
            self.requests.display().to_string(),
        ];
        for (name, number) in numbers {
            arguments.extend([name.to_owned(), number.to_string()]);
        }
        arguments
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) accepted: usize,
    /// The first answer that was no hash.
    pub(super) first_error: String,
    pub(super) elapsed: Duration,
    /// Latency below which half, 99 %, 99.9 % and all of the calls stayed.
    pub(super) quantiles: [Duration; 4],
}

impl Sent {
    fn to_json(&self) -> Value {
        json!({
            "accepted": self.accepted,
            "first_error": self.first_error,
            "elapsed_ns": self.elapsed.as_nanos() as u64,
            "quantiles_ns": self.quantiles.map(|quantile| quantile.as_nanos() as u64),
        })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let quantile = |index: usize| value["quantiles_ns"][index].as_u64();
        let quantiles = [quantile(0)?, quantile(1)?, quantile(2)?, quantile(3)?];
        Some(Self {
            accepted: usize::try_from(value["accepted"].as_u64()?).ok()?,
            first_error: value["first_error"].as_str()?.to_owned(),
            elapsed: Duration::from_nanos(value["elapsed_ns"].as_u64()?),
            quantiles: quantiles.map(Duration::from_nanos),
        })
    }
}

/// Connects, says `ready` on standard output, waits for a line on standard input, sends everything
/// and prints the result as a line of JSON.
///
/// # Errors
/// The file cannot be read, or a connection breaks.
pub fn bench_ingest_client(client: &IngestClient) -> Result<(), NodeError> {
    let text = std::fs::read_to_string(&client.requests)
        .map_err(NodeError::file("cannot read", client.requests.clone()))?;
    let mut shares = vec![Vec::new(); client.connections.max(1) as usize];
    for (index, line) in text.lines().enumerate() {
        let sender = index % client.senders.max(1) as usize;
        let connection = sender % shares.len();
        shares[connection].push(http_request(client.address, line));
    }
    let failed = |error: Error| NodeError::Bench(format!("sender: {error}"));
    let streams = shares.iter().map(|_| TcpStream::connect(client.address));
    let streams = streams.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    println!("ready");
    std::io::stdin().lock().read_line(&mut String::new()).map_err(failed)?;

    let started = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = streams
            .into_iter()
            .zip(&shares)
            .map(|(stream, share)| scope.spawn(move || send(stream, share)))
            .collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let elapsed = started.elapsed();
    let mut answers = Vec::new();
    for result in results {
        let share = result.map_err(|_| NodeError::Bench("a sending thread panicked".to_owned()))?;
        answers.extend(share.map_err(failed)?);
    }
    println!("{}", summary(answers, elapsed).to_json());
    Ok(())
}

fn http_request(host: SocketAddr, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Latency of a call, and its answer if it was no hash.
type Answer = (Duration, Option<String>);

fn send(stream: TcpStream, requests: &[Vec<u8>]) -> Result<Vec<Answer>, Error> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let started = Instant::now();
        writer.write_all(request)?;
        let body = read_body(&mut reader)?;
        let refused = (!body.contains("\"result\"")).then_some(body);
        answers.push((started.elapsed(), refused));
    }
    Ok(answers)
}

/// Reads one HTTP answer, which must tell its length.
fn read_body(reader: &mut impl BufRead) -> Result<String, Error> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("the node closed the connection"));
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = String::new();
    reader.by_ref().take(length).read_to_string(&mut body)?;
    Ok(body)
}

fn summary(answers: Vec<Answer>, elapsed: Duration) -> Sent {
    let accepted = answers.iter().filter(|(_, refused)| refused.is_none()).count();
    let first_error = answers.iter().find_map(|(_, refused)| refused.clone()).unwrap_or_default();
    let mut latencies: Vec<_> = answers.into_iter().map(|(latency, _)| latency).collect();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).or(latencies.last()).copied().unwrap_or_default()
    };
    let quantiles = [0.5, 0.99, 0.999, 1.0].map(quantile);
    Sent { accepted, first_error, elapsed, quantiles }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_length() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n".as_slice();
        assert_eq!(read_body(&mut BufReader::new(text)).unwrap(), "abc");
        assert!(read_body(&mut BufReader::new(&b""[..])).is_err());
    }

    #[test]
    fn the_summary_survives_the_pipe() {
        let millis = Duration::from_millis;
        let mut answers: Vec<_> = (1..=1_000).map(|n| (millis(n), None)).collect();
        answers.push((millis(5_000), Some("no".to_owned())));
        let sent = Sent::parse(&summary(answers, millis(9)).to_json().to_string()).unwrap();
        assert_eq!((sent.accepted, sent.first_error.as_str()), (1_000, "no"));
        assert_eq!(sent.quantiles, [millis(501), millis(991), millis(1_000), millis(5_000)]);
        assert_eq!(sent.elapsed, millis(9));
    }
}
