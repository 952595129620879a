use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use jsonrpsee::{
    RpcModule,
    core::client::{ClientT, Error, Subscription, SubscriptionClientT},
    http_client::HttpClientBuilder,
    rpc_params,
    ws_client::WsClientBuilder,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::JwtSecret;

/// A module of one method and one subscription, so that ports can be tried without a chain.
fn module() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module.register_method("eth_chainId", |_, (), _| "0x385").unwrap();
    module.register_method("eth_large", |_, (), _| "x".repeat(1000)).unwrap();
    module
        .register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            |_, pending, _, _| async {
                let sink = pending.accept().await.unwrap();
                let news = serde_json::value::to_raw_value("0x1").unwrap();
                sink.send(news).await.unwrap();
                sink.closed().await;
            },
        )
        .unwrap();
    module
}

async fn open(transport: Transport, cors_origins: &[&str], gate: Gate) -> ServerHandle {
    let port = Port {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport,
        limits: ServerLimits::PUBLIC,
        cors_origins: cors_origins.iter().map(ToString::to_string).collect(),
        gate,
        pulse: Pulse::default(),
    };
    port.open(module()).await.unwrap()
}

/// A port for both transports with these limits.
async fn limited(limits: ServerLimits) -> ServerHandle {
    let port = Port {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport: Transport::Both,
        limits,
        cors_origins: Vec::new(),
        gate: Gate::default(),
        pulse: Pulse::default(),
    };
    port.open(module()).await.unwrap()
}

/// Head and body of the answer to a POST.
async fn post(handle: &ServerHandle, body: &str) -> (String, String) {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(handle, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn call_of(method: &str, id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

fn batch_of(calls: &[String]) -> String {
    format!("[{}]", calls.join(","))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

fn guarded(secret: &JwtSecret) -> Gate {
    Gate {
        secret: Some(Arc::new(secret.clone())),
        ws_origins: Arc::new(["*".to_owned()]),
        ..Gate::default()
    }
}

fn bearer(secret: &JwtSecret) -> HeaderMap {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let value = HeaderValue::from_str(&format!("Bearer {}", secret.token(now))).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

async fn http_call(handle: &ServerHandle, headers: HeaderMap) -> Result<String, Error> {
    let client = HttpClientBuilder::default()
        .set_headers(headers)
        .build(format!("http://{}", handle.local_addr()))
        .unwrap();
    client.request("eth_chainId", rpc_params![]).await
}

/// A raw request; gives the whole answer.
async fn raw(handle: &ServerHandle, request: &str) -> String {
    let mut stream = TcpStream::connect(handle.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_guarded_port_answers_over_both_transports_with_a_token_only() {
    let secret = JwtSecret::random();
    let handle = open(Transport::Both, &[], guarded(&secret)).await;

    assert_eq!(http_call(&handle, bearer(&secret)).await.unwrap(), "0x385");
    let refused = http_call(&handle, HeaderMap::new()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    let other = http_call(&handle, bearer(&JwtSecret::random())).await.unwrap_err();
    assert!(format!("{other:?}").contains("401"), "{other:?}");

    let url = format!("ws://{}", handle.local_addr());
    let client = WsClientBuilder::default().set_headers(bearer(&secret)).build(&url).await.unwrap();
    let answer: String = client.request("eth_chainId", rpc_params![]).await.unwrap();
    assert_eq!(answer, "0x385");
    let refused = WsClientBuilder::default().build(&url).await.unwrap_err();
    assert!(format!("{refused:?}").contains("401"), "{refused:?}");
    handle.stop().await;
}

#[tokio::test]
async fn health_checks_are_answered_on_public_ports() {
    let handle = open(Transport::Http, &[], Gate::default()).await;
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(raw(&handle, request).await.starts_with("HTTP/1.1 200"));
    handle.stop().await;
}

#[tokio::test]
async fn unknown_methods_are_refused_in_geths_words_alone_and_in_a_batch() {
    let handle = open(Transport::Http, &[], Gate::default()).await;
    let post = async |body: &str| {
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        raw(&handle, &request).await.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_nonsense"}"#;
    let refusal = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method eth_nonsense does not exist/is not available"}}"#;
    assert_eq!(post(call).await, refusal);
    let known = r#"{"jsonrpc":"2.0","id":2,"method":"eth_chainId"}"#;
    let answer = r#"{"jsonrpc":"2.0","id":2,"result":"0x385"}"#;
    assert_eq!(post(&format!("[{call},{known}]")).await, format!("[{refusal},{answer}]"));
}

#[tokio::test]
async fn cors_headers_follow_the_listed_origins() {
    let request = |origin: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n"
        )
    };
    let any = open(Transport::Http, &["*"], Gate::default()).await;
    let answer = raw(&any, &request("http://a.example")).await;
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");

    let listed = open(Transport::Http, &["http://a.example"], Gate::default()).await;
    let answer = raw(&listed, &request("http://a.example")).await;
    assert!(answer.contains("access-control-allow-origin: http://a.example"), "{answer}");
    let answer = raw(&listed, &request("http://b.example")).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");

    let none = open(Transport::Http, &[], Gate::default()).await;
    let answer = raw(&none, &request("http://a.example")).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
}

#[tokio::test]
async fn a_transport_that_is_off_is_refused() {
    let http = open(Transport::Http, &[], Gate::default()).await;
    let url = format!("ws://{}", http.local_addr());
    assert!(WsClientBuilder::default().build(&url).await.is_err());

    let ws = open(Transport::Ws, &[], Gate::default()).await;
    assert!(http_call(&ws, HeaderMap::new()).await.is_err());
}

#[tokio::test]
async fn subscription_ids_are_hexadecimal_text() {
    let handle = open(Transport::Both, &[], Gate::default()).await;
    let url = format!("ws://{}", handle.local_addr());
    let client = WsClientBuilder::default().build(&url).await.unwrap();
    let mut news: Subscription<String> = client
        .subscribe("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe")
        .await
        .unwrap();
    assert_eq!(news.next().await.unwrap().unwrap(), "0x1");
    match news.kind() {
        jsonrpsee::core::client::SubscriptionKind::Subscription(SubscriptionId::Str(id)) => {
            assert!(id.starts_with("0x"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_batch_above_the_limit_is_refused_as_by_geth() {
    let handle = limited(ServerLimits { max_batch: 2, ..ServerLimits::PUBLIC }).await;
    let calls = [7, 8, 9].map(|id| call_of("eth_chainId", id));
    let (_, answer) = post(&handle, &batch_of(&calls[..2])).await;
    assert_eq!(json(&answer)[1]["result"], "0x385", "{answer}");
    let (_, answer) = post(&handle, &batch_of(&calls)).await;
    let expected =
        r#"[{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"batch too large"}}]"#;
    assert_eq!(json(&answer), json(expected));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused_as_by_geth() {
    let handle = limited(ServerLimits { max_response_bytes: 900, ..ServerLimits::PUBLIC }).await;
    let (_, answer) = post(&handle, &call_of("eth_large", 1)).await;
    let error = r#"{"code":-32003,"message":"response too large"}"#;
    assert_eq!(json(&answer)["error"], json(error), "{answer}");
    let (_, answer) = post(&handle, &call_of("eth_chainId", 1)).await;
    assert_eq!(json(&answer)["result"], "0x385", "{answer}");
}

#[tokio::test]
async fn in_a_batch_the_answers_after_the_limit_are_errors() {
    let handle = limited(ServerLimits { max_response_bytes: 1500, ..ServerLimits::PUBLIC }).await;
    let names = ["eth_large", "eth_chainId", "eth_large", "eth_chainId"];
    let calls: Vec<_> = names.iter().zip(1..).map(|(name, id)| call_of(name, id)).collect();
    let (_, answer) = post(&handle, &batch_of(&calls)).await;
    let answers = json(&answer);
    let ids: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["id"].as_u64()).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(answers[0]["result"].as_str().map(str::len), Some(1000));
    assert_eq!(answers[1]["result"], "0x385");
    assert_eq!(answers[2]["error"]["code"], -32003);
    assert_eq!(answers[3]["error"]["message"], "response too large");
}

#[tokio::test]
async fn a_batch_answers_calls_only_and_says_what_is_no_request() {
    let handle = limited(ServerLimits::PUBLIC).await;
    let notification = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#.to_owned();
    let (_, answer) = post(&handle, &batch_of(std::slice::from_ref(&notification))).await;
    assert!(json(&answer).is_null(), "{answer}");
    let mixed = [notification, "1".to_owned(), call_of("eth_chainId", 5), call_of("eth_x", 6)];
    let (_, answer) = post(&handle, &batch_of(&mixed)).await;
    let answers = json(&answer);
    assert_eq!(answers.as_array().map(Vec::len), Some(3), "{answer}");
    assert_eq!(answers[0]["error"]["code"], -32600);
    assert_eq!(answers[1]["result"], "0x385");
    assert_eq!(answers[2]["error"]["code"], -32601);
    let (_, answer) = post(&handle, "[]").await;
    assert_eq!(json(&answer)["error"]["code"], -32600);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_before_it_is_read() {
    let handle = limited(ServerLimits { max_request_bytes: 100, ..ServerLimits::PUBLIC }).await;
    let (head, body) = post(&handle, &call_of(&"x".repeat(100), 1)).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    assert_eq!(body, "content length too large (136>100)");
    assert_eq!(json(&post(&handle, &call_of("eth_chainId", 1)).await.1)["result"], "0x385");
    // Over WebSocket no header tells the length; the answer cannot name the call.
    let url = format!("ws://{}", handle.local_addr());
    let client = WsClientBuilder::default().build(&url).await.unwrap();
    let large = client.request::<String, _>("eth_chainId", rpc_params!["x".repeat(100)]).await;
    assert!(large.is_err(), "{large:?}");
}

#[tokio::test]
async fn connections_above_the_limit_are_turned_away() {
    let handle = limited(ServerLimits { max_connections: 1, ..ServerLimits::PUBLIC }).await;
    let url = format!("ws://{}", handle.local_addr());
    let first = WsClientBuilder::default().build(&url).await.unwrap();
    let (head, _) = post(&handle, &call_of("eth_chainId", 1)).await;
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    let answer: String = first.request("eth_chainId", rpc_params![]).await.unwrap();
    assert_eq!(answer, "0x385", "the first one is served on");
}

#[tokio::test]
async fn subscriptions_above_the_limit_are_refused() {
    let handle = limited(ServerLimits { max_subscriptions: 1, ..ServerLimits::PUBLIC }).await;
    let url = format!("ws://{}", handle.local_addr());
    let client = WsClientBuilder::default().build(&url).await.unwrap();
    let subscribe = || {
        client.subscribe::<String, _>("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe")
    };
    let first = subscribe().await.unwrap();
    let error = subscribe().await.unwrap_err();
    let Error::Call(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), -32006);
    assert_eq!(error.message(), "Too many subscriptions on the connection");
    drop(first);
}

#[tokio::test]
async fn pages_of_foreign_names_are_refused_where_names_are_listed() {
    let gate = Gate { hosts: Arc::new(["localhost".to_owned()]), ..Gate::default() };
    let handle = open(Transport::Http, &[], gate).await;
    let request =
        |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = raw(&handle, &request("evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.ends_with("invalid host specified"), "{answer}");
    assert!(raw(&handle, &request("localhost:8545")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_forkchoice_that_was_answered_is_remembered_and_another_call_is_not() {
    let secret = JwtSecret::random();
    let pulse = Pulse::default();
    let port = Port {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport: Transport::Both,
        limits: ServerLimits::AUTH,
        cors_origins: Vec::new(),
        gate: guarded(&secret),
        pulse: pulse.clone(),
    };
    let mut module = module();
    module.register_method("engine_forkchoiceUpdatedV3", |_, (), _| "ok").unwrap();
    let handle = port.open(module).await.unwrap();
    http_call(&handle, bearer(&secret)).await.unwrap();
    assert!(pulse.last().is_none());
    let url = format!("ws://{}", handle.local_addr());
    let client = WsClientBuilder::default().set_headers(bearer(&secret)).build(&url).await.unwrap();
    let _: String = client.request("engine_forkchoiceUpdatedV3", rpc_params![]).await.unwrap();
    assert!(pulse.last().is_some());
}

#[tokio::test]
async fn a_taken_port_is_named_in_the_error() {
    let first = open(Transport::Http, &[], Gate::default()).await;
    let port = Port {
        addr: first.local_addr(),
        transport: Transport::Http,
        limits: ServerLimits::PUBLIC,
        cors_origins: Vec::new(),
        gate: Gate::default(),
        pulse: Pulse::default(),
    };
    let error = port.open(module()).await.unwrap_err().to_string();
    assert!(error.contains(&first.local_addr().to_string()), "{error}");
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let handle = open(Transport::Both, &[], Gate::default()).await;
    let addr = handle.local_addr();
    let url = format!("ws://{addr}");
    let _client = WsClientBuilder::default().build(&url).await.unwrap();
    handle.stop().await;
    // Connections that are slow to end may hold it for a moment.
    while TcpStream::connect(addr).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
