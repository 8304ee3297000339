//! The public and the ops door: metadata, problem pages, health; and the table of routes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use actix_server::ServerHandle;
use serde_json::Value;

use crate::web::caller::Door;
use crate::web::health::{Check, Condition, Health, open};
use crate::web::limits::RequestLimits;
use crate::web::metrics::Metrics;
use crate::web::partner::token::Tokens;
use crate::web::partner::token_keys::TokenKeys;
use crate::web::problem::Code;
use crate::web::public::metadata::Published;
use crate::web::public::{PublicDoor, open_plain};
use crate::web::routes::table;

use super::bench::{AUDIENCE, ISSUER, run};

struct Stops(ServerHandle);

impl Drop for Stops {
    fn drop(&mut self) {
        drop(self.0.stop(false));
    }
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut tcp = TcpStream::connect(address).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn public() -> (SocketAddr, Stops) {
    let key = crate::vault::authority::new_signing_key().unwrap();
    let keys = TokenKeys::new(&key, &[]).unwrap();
    let tokens = Arc::new(Tokens::new(keys, ISSUER.to_owned(), AUDIENCE.to_owned()));
    let published =
        Published::new(ISSUER.to_owned(), AUDIENCE.to_owned(), tokens, "-----BEGIN".to_owned());
    let door = PublicDoor {
        published: Arc::new(published),
        limits: RequestLimits::default(),
        table: table(),
        metrics: Arc::new(Metrics::new()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, Stops(run(move || open_plain(listener, door, |_| {}).unwrap())))
}

#[test]
fn metadata_comes_from_configuration_alone() {
    let (address, _stops) = public();
    let (head, body) = get(address, "/.well-known/oauth-authorization-server");
    assert!(head.starts_with("http/1.1 200") && head.contains("max-age=300"), "{head}");
    assert!(!body.contains("evil"), "{body}");
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["issuer"], ISSUER);
    assert_eq!(json["token_endpoint"], format!("{AUDIENCE}/oauth2/token"));
    assert_eq!(json["mtls_endpoint_aliases"]["token_endpoint"], format!("{AUDIENCE}/oauth2/token"));
    assert_eq!(json["response_types_supported"], serde_json::json!(["none"]));
    assert_eq!(json["grant_types_supported"], serde_json::json!(["client_credentials"]));
    assert_eq!(json["tls_client_certificate_bound_access_tokens"], true);
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = &json[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert_eq!(methods, &serde_json::json!(["tls_client_auth", "self_signed_tls_client_auth"]));
    }
    let (_, body) = get(address, "/.well-known/oauth-protected-resource");
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&json["resource"], &json["authorization_servers"][0]),
        (&AUDIENCE.into(), &ISSUER.into())
    );
    let (head, body) = get(address, "/oauth2/jwks.json");
    assert!(head.contains("application/jwk-set+json") && body.contains("\"keys\""), "{head}");
    assert_eq!(get(address, "/pki/ca.pem").1, "-----BEGIN");
}

#[test]
fn every_code_has_a_page_and_a_place_in_the_list() {
    let (address, _stops) = public();
    let (_, list) = get(address, "/problems");
    let mut codes: Vec<_> = Code::all().map(|code| code.row().code).collect();
    for code in Code::all() {
        let row = code.row();
        assert_eq!(Code::find(row.code), Some(code));
        assert!((400..=599).contains(&row.status));
        assert!(list.contains(&format!("/problems/{}", row.code)), "{}", row.code);
    }
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count, "a code stands twice");
    let (head, page) = get(address, "/problems/trust_stale");
    assert!(head.starts_with("http/1.1 200") && page.contains("Status 503"), "{page}");
    let (head, body) = get(address, "/problems/%3Cscript%3E");
    assert!(head.starts_with("http/1.1 404") && !body.contains("script"), "{body}");
    assert!(body.contains("\"code\":\"not_found\""));
    assert!(get(address, "/v1/whoami").0.starts_with("http/1.1 404"));
    assert!(get(address, "/metrics").0.starts_with("http/1.1 404"));
}

#[test]
fn the_public_door_refuses_plain_http_beyond_loopback() {
    let (address, _stops) = public();
    assert!(address.ip().is_loopback());
    let key = crate::vault::authority::new_signing_key().unwrap();
    let keys = TokenKeys::new(&key, &[]).unwrap();
    let tokens = Arc::new(Tokens::new(keys, ISSUER.to_owned(), AUDIENCE.to_owned()));
    let published = Published::new(ISSUER.into(), AUDIENCE.into(), tokens, String::new());
    let door = PublicDoor {
        published: Arc::new(published),
        limits: RequestLimits::default(),
        table: table(),
        metrics: Arc::new(Metrics::new()),
    };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = open_plain(listener, door, |_| {}).err().unwrap();
    assert!(refused.to_string().contains("loopback"), "{refused}");
}

#[test]
fn readiness_turns_red_with_its_parts() {
    let now = Arc::new(Mutex::new(Condition::Amber));
    let seen = now.clone();
    let checks = Arc::new(move || {
        let condition = *seen.lock().unwrap();
        vec![Check { part: "ledger", condition, says: "as told".to_owned() }]
    });
    let health = Health { checks, metrics: Arc::new(Metrics::new()) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _stops = Stops(run(move || open(listener, table(), health).unwrap()));
    assert!(get(address, "/healthz").0.starts_with("http/1.1 200"));
    let (head, body) = get(address, "/readyz");
    assert!(head.starts_with("http/1.1 200") && body.contains("\"ready\":true"), "{body}");
    *now.lock().unwrap() = Condition::Red;
    let (head, body) = get(address, "/readyz");
    assert!(head.starts_with("http/1.1 503") && body.contains("\"condition\":\"red\""), "{body}");
    let (head, body) = get(address, "/metrics");
    assert!(head.contains("openmetrics-text") && body.ends_with("# EOF\n"), "{body}");
}

#[test]
fn no_row_stands_twice_and_each_names_its_caller() {
    let table = table();
    let mut seen = std::collections::HashSet::new();
    for row in table.rows() {
        assert!(seen.insert((row.method.clone(), row.path, row.door.code())), "{row:?}");
        let open = row.caller == "anyone" || row.caller == "operator";
        assert_eq!(open, row.door != Door::Partner, "{row:?}");
    }
}
