//! Bytes that are not HTTP, or are two requests in one: each ends with 4xx, closed, and soon.

use std::time::{Duration, Instant};

use super::forms::shop;
use crate::harness::wire::parse;

/// The deadlines are 5 s for a head and 10 s for a request; a machine busy with other tests may
/// need longer for either.
const SOON: Duration = Duration::from_secs(30);

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let get = |head: &str| format!("GET /v1/leads HTTP/1.1\r\n{head}\r\n").into_bytes();
    let post = |head: &str, body: &str| {
        format!("POST /oauth2/token HTTP/1.1\r\nhost: HOST\r\n{head}\r\n{body}").into_bytes()
    };
    let many = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let nul = |place: &str| place.replace('0', "\0").into_bytes();
    vec![
        ("length and chunked", post("content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n")),
        ("chunked and length", post("transfer-encoding: chunked\r\ncontent-length: 4\r\n", "0\r\n\r\n")),
        ("two lengths", post("content-length: 4\r\ncontent-length: 5\r\n", "abcde")),
        ("the same length twice", post("content-length: 4\r\ncontent-length: 4\r\n", "abcd")),
        ("a list of lengths", post("content-length: 4, 4\r\n", "abcd")),
        ("a length with a sign", post("content-length: +4\r\n", "abcd")),
        ("a negative length", post("content-length: -4\r\n", "abcd")),
        ("a hexadecimal length", post("content-length: 0x4\r\n", "abcd")),
        ("a length beyond 64 bits", post("content-length: 99999999999999999999\r\n", "abcd")),
        ("a length that is a word", post("content-length: four\r\n", "abcd")),
        ("chunked twice", post("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n")),
        ("an unknown coding", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n")),
        ("chunked not last", post("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("a chunk that is no number", post("transfer-encoding: chunked\r\n", "zz\r\nab\r\n0\r\n\r\n")),
        ("a chunk too large", post("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nab\r\n")),
        ("a chunk with a line feed", post("transfer-encoding: chunked\r\n", "2\nab\n0\n\n")),
        ("no host", get("connection: close\r\n")),
        ("two hosts", get("host: HOST\r\nhost: HOST\r\nconnection: close\r\n")),
        ("two different hosts", get("host: HOST\r\nhost: evil.example\r\nconnection: close\r\n")),
        ("another host", get("host: evil.example\r\nconnection: close\r\n")),
        ("an empty host", get("host: \r\nconnection: close\r\n")),
        ("a host with a user", get("host: a@HOST\r\nconnection: close\r\n")),
        ("another host in the target", b"GET https://evil.example/v1/whoami HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n".to_vec()),
        ("a huge header", get(&format!("host: HOST\r\nx-a: {}\r\n", "a".repeat(200 * 1024)))),
        ("a large header", get(&format!("host: HOST\r\nconnection: close\r\nx-a: {}\r\n", "a".repeat(20 * 1024)))),
        ("many headers", get(&format!("host: HOST\r\n{many}"))),
        ("a huge target", format!("GET /{} HTTP/1.1\r\nhost: HOST\r\n\r\n", "a".repeat(70 * 1024)).into_bytes()),
        ("NUL in a value", get("host: HOST\r\nx-a: b\0c\r\n")),
        ("NUL in a name", get("host: HOST\r\nx\0a: b\r\n")),
        ("NUL in the target", nul("GET /v1/0leads HTTP/1.1\r\nhost: HOST\r\n\r\n")),
        ("a bare carriage return", get("host: HOST\r\nx-a: b\rc: d\r\n")),
        ("a space before the colon", get("host: HOST\r\ncontent-length : 4\r\n")),
        ("a folded line", get("host: HOST\r\nx-a: b\r\n  c\r\n")),
        ("a line without a colon", get("host: HOST\r\nnothing\r\n")),
        ("an empty name", get("host: HOST\r\n: b\r\n")),
        ("bytes beyond ASCII in a name", "GET / HTTP/1.1\r\nhost: HOST\r\nä: b\r\n\r\n".into()),
        ("a space in the target", b"GET /v1/ leads HTTP/1.1\r\nhost: HOST\r\n\r\n".to_vec()),
        ("no target", b"GET HTTP/1.1\r\nhost: HOST\r\n\r\n".to_vec()),
        ("no version", b"GET /v1/whoami\r\nhost: HOST\r\n\r\n".to_vec()),
        ("version 9.9", b"GET /v1/whoami HTTP/9.9\r\nhost: HOST\r\n\r\n".to_vec()),
        ("version in lower case", b"GET /v1/whoami http/1.1\r\nhost: HOST\r\n\r\n".to_vec()),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a method with a bracket", b"G{T /v1/whoami HTTP/1.1\r\nhost: HOST\r\n\r\n".to_vec()),
        ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n".to_vec()),
        ("half a head", b"GET /v1/whoami HTTP/1.1\r\nhost: HO".to_vec()),
        ("less than its length", post("content-length: 400\r\n", "grant_type=client_credentials")),
        ("a body beyond the limit", post("content-length: 20000\r\n", &"a".repeat(20_000))),
        ("chunks beyond the limit", post("transfer-encoding: chunked\r\n",
            &format!("{}0\r\n\r\n", format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(6)))),
        ("a coded body", post("content-encoding: gzip\r\nconnection: close\r\ncontent-length: 4\r\ncontent-type: application/x-www-form-urlencoded\r\n", "\x1f\x08\x08\x08")),
        ("a bare line feed, not admitted", b"GET /v1/leads HTTP/1.1\nhost: HOST\nconnection: close\n\n".to_vec()),
    ]
}

#[test]
fn what_is_not_http_ends_with_4xx_closed_and_soon() {
    let (_world, doors, badge) = shop();
    let host = doors.partner_url.trim_start_matches("https://").to_owned();
    let complaints: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = cases()
            .into_iter()
            .map(|(name, bytes)| {
                let bytes = insert_host(&bytes, &host);
                let mut wire = doors.wire(&badge);
                let ask = move || {
                    let begun = Instant::now();
                    let read = wire.raw(&bytes);
                    complaint(name, read.as_deref(), begun.elapsed())
                };
                scope.spawn(ask)
            })
            .collect();
        asked.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let after = doors.wire(&badge).call("GET", "/v1/whoami", &[], b"");
    assert_eq!(after.status, 200, "the door lives on");
}

fn insert_host(bytes: &[u8], host: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|four| four == b"HOST") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(host.as_bytes());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// What is wrong with the end of a case, if anything: exactly one answer of 4xx, then the close.
fn complaint(name: &str, read: Option<&[u8]>, took: Duration) -> Option<String> {
    let Some(read) = read else { return Some(format!("{name}: still open after {took:?}")) };
    if took > SOON {
        return Some(format!("{name}: took {took:?}"));
    }
    let Some(answer) = parse(read) else { return Some(format!("{name}: closed without a word")) };
    let text = String::from_utf8_lossy(read);
    let answers = text.matches("HTTP/1.1 ").count();
    if answers != 1 || !(400..500).contains(&answer.status) {
        return Some(format!("{name}: {answers} answers, the first {}", answer.says()));
    }
    None
}
