//! The corpus of bad tokens: each refused, and all with the same answer.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Map, Value, json};

use crate::id::{PartnerId, Thumbprint, TokenId};
use crate::secret::KeyDocument;
use crate::web::partner::token_keys::TokenKeys;

use super::bench::{AUDIENCE, Bench, ISSUER, today};
use super::client::Client;
use super::oauth;

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs any header and payload, as texts.
fn sign(header: &str, payload: &str, key: &KeyDocument) -> String {
    let message = format!("{}.{}", b64(header.as_bytes()), b64(payload.as_bytes()));
    let key = EncodingKey::from_ec_der(key.expose());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

struct Maker {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    key: KeyDocument,
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

impl Maker {
    fn new(bench: &Bench) -> Self {
        let kid = kid(bench);
        let now = today().seconds();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": bench.partner.to_string(),
            "client_id": bench.partner.to_string(), "iat": now, "nbf": now, "exp": now + 300,
            "jti": TokenId::new().to_string(), "scope": "offers",
            "cnf": {"x5t#S256": bench.pair.thumbprint().to_string()},
        });
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": kid});
        Self { header: object(&header), claims: object(&claims), key: bench.token_key.clone() }
    }

    fn make(&self) -> String {
        let (header, claims) = (Value::from(self.header.clone()), Value::from(self.claims.clone()));
        sign(&header.to_string(), &claims.to_string(), &self.key)
    }

    fn header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header.insert(name.to_owned(), value);
        sign(
            &Value::from(header).to_string(),
            &Value::from(self.claims.clone()).to_string(),
            &self.key,
        )
    }

    fn claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims.insert(name.to_owned(), value);
        sign(
            &Value::from(self.header.clone()).to_string(),
            &Value::from(claims).to_string(),
            &self.key,
        )
    }

    /// The payload with a piece of raw text before its last brace.
    fn raw(&self, more: &str) -> String {
        let payload = Value::from(self.claims.clone()).to_string();
        let payload = format!("{}{more}}}", payload.strip_suffix('}').unwrap());
        sign(&Value::from(self.header.clone()).to_string(), &payload, &self.key)
    }
}

fn kid(bench: &Bench) -> String {
    let jwks: Value = serde_json::from_str(&bench.tokens.jwks()).unwrap();
    jwks["keys"][0]["kid"].as_str().unwrap().to_owned()
}

type Corpus = Vec<(String, String)>;

fn add(corpus: &mut Corpus, name: impl Into<String>, token: String) {
    corpus.push((name.into(), token));
}

fn forms(good: &str, corpus: &mut Corpus) {
    let parts: Vec<_> = good.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    for (name, token) in [
        ("one part", h.to_owned()),
        ("two parts", format!("{h}.{p}")),
        ("four parts", format!("{good}.{s}")),
        ("no signature", format!("{h}.{p}.")),
        ("no payload", format!("{h}..{s}")),
        ("no header", format!(".{p}.{s}")),
        ("only dots", "..".to_owned()),
        ("padding", format!("{good}==")),
        ("a word", "token".to_owned()),
        ("standard alphabet", format!("{h}.{p}.{}+/", &s[..84])),
        ("a space inside", format!("{h}. {p}.{s}")),
        ("percent-encoded", format!("{h}%2e{p}%2e{s}")),
        ("signature cut short", format!("{h}.{p}.{}", &s[..80])),
        ("signature of zeros", format!("{h}.{p}.{}", b64(&[0; 64]))),
        ("signature in DER", format!("{h}.{p}.{}", b64(&[0x30; 70]))),
        ("header in base64 with padding", format!("{}.{p}.{s}", STANDARD.encode("{}"))),
        ("header is not JSON", format!("{}.{p}.{s}", b64(b"no"))),
        ("header is a list", format!("{}.{p}.{s}", b64(b"[]"))),
        ("too long", format!("{h}.{}.{s}", "A".repeat(4100))),
    ] {
        add(corpus, name, token);
    }
    let flip = |at: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    for at in [h.len() / 2, h.len() + 10, h.len() + p.len() + 10] {
        add(corpus, format!("byte {at} changed"), flip(at));
    }
}

fn headers(maker: &Maker, corpus: &mut Corpus) {
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("at+JWT")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!(null)),
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!(["ES256"])),
        ("kid", json!("unknown")),
        ("kid", json!("")),
        ("kid", json!("../../keys/other")),
        ("kid", json!(1)),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("jwk", json!({"kty": "EC"})),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/x.pem")),
        ("zip", json!("DEF")),
    ] {
        add(corpus, format!("header {name} = {value}"), maker.header(name, value));
    }
    for name in ["typ", "alg", "kid"] {
        let mut header = maker.header.clone();
        header.remove(name);
        let (header, payload) = (Value::from(header), Value::from(maker.claims.clone()));
        let token = sign(&header.to_string(), &payload.to_string(), &maker.key);
        add(corpus, format!("header without {name}"), token);
    }
    let doubled =
        Value::from(maker.header.clone()).to_string().replacen('{', "{\"typ\":\"at+jwt\",", 1);
    let payload = Value::from(maker.claims.clone()).to_string();
    add(corpus, "header with typ twice", sign(&doubled, &payload, &maker.key));
}

fn claims(maker: &Maker, corpus: &mut Corpus) {
    for name in maker.claims.keys() {
        let mut claims = maker.claims.clone();
        claims.remove(name);
        let (header, payload) = (Value::from(maker.header.clone()), Value::from(claims));
        let token = sign(&header.to_string(), &payload.to_string(), &maker.key);
        add(corpus, format!("without {name}"), token);
        add(corpus, format!("{name} is null"), maker.claim(name, Value::Null));
    }
    let now = today().seconds();
    let stranger = PartnerId::new().to_string();
    let thumbprint = maker.claims["cnf"]["x5t#S256"].as_str().unwrap();
    let hex = thumbprint.parse::<Thumbprint>().unwrap().hex();
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(["https://evil.example", ISSUER])),
        ("iss", json!(format!("{ISSUER}/"))),
        ("aud", json!("https://evil.example")),
        ("aud", json!([AUDIENCE])),
        ("aud", json!(["https://evil.example", AUDIENCE])),
        ("aud", json!(1)),
        ("sub", json!(stranger)),
        ("client_id", json!(stranger)),
        ("client_id", json!("acme")),
        ("exp", json!(now - 6)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!((now + 300).to_string())),
        ("exp", json!(now as f64 + 300.5)),
        ("exp", json!(1.0e30)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(now + 601)),
        ("exp", json!(now)),
        ("nbf", json!(now + 11)),
        ("nbf", json!(now + 3600)),
        ("nbf", json!(now - 1)),
        ("nbf", json!("now")),
        ("iat", json!(now + 11)),
        ("iat", json!(4_102_444_800_i64)),
        ("iat", json!(now - 301)),
        ("iat", json!(true)),
        ("jti", json!("")),
        ("jti", json!("tok_1")),
        ("jti", json!(7)),
        ("scope", json!("")),
        ("scope", json!("everything")),
        ("scope", json!("offers offers")),
        ("scope", json!(["offers"])),
        ("cnf", json!({})),
        ("cnf", json!("x5t#S256")),
        ("cnf", json!({"x5t#S256": ""})),
        ("cnf", json!({"x5t#S256": hex})),
        ("cnf", json!({"x5t": thumbprint})),
        ("cnf", json!({"jkt": thumbprint})),
        ("cnf", json!({"x5t#S256": thumbprint, "jkt": thumbprint})),
        ("cnf", json!({"x5t#S256": Thumbprint::of(b"another").to_string()})),
        ("cnf", json!({"x5t#S256": [thumbprint]})),
        ("roles", json!(["admin"])),
    ] {
        add(corpus, format!("{name} = {value}"), maker.claim(name, value));
    }
    let far = format!(",\"exp\":{}", now + 300);
    add(corpus, "exp twice", maker.raw(&far));
    add(corpus, "scope twice", maker.raw(",\"scope\":\"offers licensing\""));
    add(corpus, "cnf twice", maker.raw(&format!(",\"cnf\":{{\"x5t#S256\":\"{thumbprint}\"}}")));
    add(corpus, "text after the payload", maker.raw("} {\"x\":1"));
}

fn keys(bench: &Bench, maker: &Maker, corpus: &mut Corpus) {
    let header = Value::from(maker.header.clone()).to_string();
    let payload = Value::from(maker.claims.clone()).to_string();
    let other = crate::vault::authority::new_signing_key().unwrap();
    add(corpus, "signed with another key under our kid", sign(&header, &payload, &other));
    let own = TokenKeys::new(&other, &[]).unwrap();
    let jwks: Value = serde_json::from_str(own.jwks()).unwrap();
    let named = header.replace(&kid(bench), jwks["keys"][0]["kid"].as_str().unwrap());
    add(corpus, "signed with another key under its kid", sign(&named, &payload, &other));
    // The oldest trick: the public key as the secret of an HMAC.
    let confused = header.replace("ES256", "HS256");
    let message = format!("{}.{}", b64(confused.as_bytes()), b64(payload.as_bytes()));
    let ours: Value = serde_json::from_str(&bench.tokens.jwks()).unwrap();
    let secret = ours["keys"][0].to_string();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let tag = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    add(corpus, "public key as HMAC secret", format!("{message}.{tag}"));
    let unsigned = header.replace("ES256", "none");
    let bare = format!("{}.{}.", b64(unsigned.as_bytes()), b64(payload.as_bytes()));
    add(corpus, "alg none, unsigned", bare);
}

#[test]
fn every_bad_token_is_refused_with_one_answer() {
    let bench = Bench::open();
    let maker = Maker::new(&bench);
    let good = maker.make();
    let mut corpus = Corpus::new();
    forms(&good, &mut corpus);
    headers(&maker, &mut corpus);
    claims(&maker, &mut corpus);
    keys(&bench, &maker, &mut corpus);
    assert!(corpus.len() >= 60, "{}", corpus.len());
    let mut client = Client::of(&bench);
    let ask = |client: &mut Client, token: &str| {
        client.get_with("/test/offers", &format!("Authorization: Bearer {token}\r\n")).unwrap()
    };
    assert_eq!(ask(&mut client, &good).status, 200, "the pattern of the corpus must pass");
    let mut bodies = HashSet::new();
    let mut challenges = HashSet::new();
    for (name, token) in &corpus {
        let answer = ask(&mut client, token);
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"), "{name}");
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("instance");
        bodies.insert(body.to_string());
        challenges.insert(answer.header("www-authenticate").unwrap().to_owned());
        assert_eq!(ask(&mut client, &good).status, 200, "after {name}");
    }
    assert_eq!((bodies.len(), challenges.len()), (1, 1), "{bodies:?} {challenges:?}");
    assert!(challenges.iter().all(|text| text.contains("error=\"invalid_token\"")));
}

#[test]
fn keys_are_rotated_without_a_gap() {
    let bench = Bench::open();
    let old = oauth::token(&bench, "");
    let next = crate::vault::authority::new_signing_key().unwrap();
    let use_ = |token: &str| {
        let header = format!("Authorization: Bearer {token}\r\n");
        Client::of(&bench).get_with("/test/offers", &header).unwrap().status
    };
    let published = || {
        let jwks: Value = serde_json::from_str(&bench.tokens.jwks()).unwrap();
        jwks["keys"].as_array().unwrap().len()
    };
    bench
        .tokens
        .replace_keys(TokenKeys::new(&bench.token_key, std::slice::from_ref(&next)).unwrap());
    assert_eq!((published(), use_(&old)), (2, 200));
    bench
        .tokens
        .replace_keys(TokenKeys::new(&next, std::slice::from_ref(&bench.token_key)).unwrap());
    let new = oauth::token(&bench, "");
    assert_eq!((use_(&old), use_(&new)), (200, 200));
    bench.tokens.replace_keys(TokenKeys::new(&next, &[]).unwrap());
    assert_eq!((published(), use_(&old), use_(&new)), (1, 401, 200));
}

#[test]
fn the_published_keys_hold_no_secret() {
    let bench = Bench::open();
    let jwks: Value = serde_json::from_str(&bench.tokens.jwks()).unwrap();
    let key = &jwks["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("EC"), Some("P-256")));
    assert_eq!((key["use"].as_str(), key["alg"].as_str()), (Some("sig"), Some("ES256")));
    assert_eq!(key["kid"].as_str().unwrap().len(), 43);
    assert!(key.get("d").is_none() && key.get("k").is_none());
    assert!(TokenKeys::new(&KeyDocument::new(vec![1, 2, 3]), &[]).is_err());
}

#[test]
fn clocks_may_differ_by_ten_seconds_and_a_token_may_be_five_late() {
    let bench = Bench::open();
    let now = today().seconds();
    let mut client = Client::of(&bench);
    for (begin, end, status) in [
        (now + 10, now + 310, 200),
        (now + 11, now + 311, 401),
        (now - 305, now - 5, 200),
        (now - 306, now - 6, 401),
        (now, now + 600, 200),
        (now, now + 601, 401),
    ] {
        let mut maker = Maker::new(&bench);
        for (name, value) in [("iat", begin), ("nbf", begin), ("exp", end)] {
            maker.claims.insert(name.to_owned(), json!(value));
        }
        let header = format!("Authorization: Bearer {}\r\n", maker.make());
        let answer = client.get_with("/test/offers", &header).unwrap();
        assert_eq!(answer.status, status, "{} to {}", begin - now, end - now);
    }
}
