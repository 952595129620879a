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
    module
        .register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            |_, pending, _, _| async {
                let sink = pending.accept().await.unwrap();
                let news = serde_json::value::to_raw_value("0x1").unwrap();
                sink.send(news).await.unwrap();
            },
        )
        .unwrap();
    module
}

async fn open(transport: Transport, cors_origins: &[&str], gate: Gate) -> ServerHandle {
    let port = Port {
        addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        transport,
        limits: ServerLimits { max_batch: 2, ..ServerLimits::PUBLIC },
        cors_origins: cors_origins.iter().map(ToString::to_string).collect(),
        gate,
    };
    port.open(module()).await.unwrap()
}

fn guarded(secret: &JwtSecret) -> Gate {
    Gate { secret: Some(Arc::new(secret.clone())), ws_origins: Arc::new(["*".to_owned()]) }
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
async fn batches_are_limited() {
    let handle = open(Transport::Http, &[], Gate::default()).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let request = |calls: usize| {
        let body = format!("[{}]", vec![call; calls].join(","));
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(raw(&handle, &request(2)).await.contains("0x385"));
    assert!(raw(&handle, &request(3)).await.contains("too large"));
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
    assert!(TcpStream::connect(addr).await.is_err());
}
