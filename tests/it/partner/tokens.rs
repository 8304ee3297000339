//! Checks A1 to A7: tokens in the wrong place, forged, changed, borrowed, ended, revoked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldgate::clock::Clock;
use fieldgate::flows::onboard;
use fieldgate::vault::authority::new_signing_key;
use fieldgate::vault::keyring::KeyUse;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::forms::{assert_problem, shop};
use crate::harness::wire::Wire;
use crate::harness::world::actor;
use crate::harness::{Badge, Doors, World, wait};

const PATH: &str = "/v1/leads?purpose=offers";

/// Signs whatever it is given; with the house's own key, only the content is wrong.
struct Forger {
    key: EncodingKey,
    header: Value,
    claims: Value,
}

impl Forger {
    fn new(world: &World, good: &str) -> Self {
        let keyring = world.gateway.keyring();
        let key = keyring.document(keyring.current(KeyUse::Token).unwrap()).unwrap();
        let read =
            |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let parts: Vec<_> = good.split('.').collect();
        let key = EncodingKey::from_ec_der(key.expose());
        Self { key, header: read(parts[0]), claims: read(parts[1]) }
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The good token with one claim changed, or left out where the value is null.
    fn claim(&self, name: &str, value: Value) -> String {
        self.sign(&self.header, &changed(&self.claims, name, value))
    }

    fn head(&self, name: &str, value: Value) -> String {
        self.sign(&changed(&self.header, name, value), &self.claims)
    }
}

fn changed(from: &Value, name: &str, value: Value) -> Value {
    let mut map = from.as_object().unwrap().clone();
    if value.is_null() {
        map.remove(name)
    } else {
        map.insert(name.into(), value)
    };
    Value::Object(map)
}

fn corpus(forger: &Forger) -> Vec<(String, String)> {
    let now = Clock::System.now().seconds();
    let iss = forger.claims["iss"].clone();
    let aud = forger.claims["aud"].clone();
    let mut bad = Vec::new();
    let mut put = |name: &str, token: String| bad.push((name.to_owned(), token));
    for name in ["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "scope", "cnf"] {
        put(&format!("no {name}"), forger.claim(name, Value::Null));
        put(&format!("{name} an object"), forger.claim(name, json!({})));
        put(&format!("{name} a list"), forger.claim(name, json!([forger.claims[name]])));
        put(
            &format!("{name} null"),
            forger.sign_text(
                &forger.header.to_string(),
                &changed(&forger.claims, name, json!("NULL"))
                    .to_string()
                    .replace("\"NULL\"", "null"),
            ),
        );
    }
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{}/", iss.as_str().unwrap()))),
        ("aud", json!([aud, "https://evil.example"])),
        ("aud", json!(iss)),
        ("sub", json!(fieldgate::id::PartnerId::new().to_string())),
        ("client_id", json!(fieldgate::id::PartnerId::new().to_string())),
        ("exp", json!(now - 6)),
        ("exp", json!(now + 100_000)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("nbf", json!(now + 30)),
        ("iat", json!(now + 30)),
        ("iat", json!(4_102_444_800_i64)),
        ("jti", json!("")),
        ("scope", json!("")),
        ("scope", json!("offers admin")),
        ("scope", json!("*")),
        ("cnf", json!({ "x5t#S256": "" })),
        ("cnf", json!({ "x5t#S256": "A".repeat(43) })),
        ("cnf", json!({ "jkt": "A".repeat(43) })),
        ("admin", json!(true)),
    ] {
        put(&format!("{name} {value}"), forger.claim(name, value));
    }
    for (name, value) in [
        ("typ", Value::Null),
        ("typ", json!("JWT")),
        ("kid", Value::Null),
        ("kid", json!("unknown")),
        ("kid", json!("../../etc/passwd")),
        ("alg", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/x")),
        ("jwk", json!({ "kty": "EC" })),
        ("cty", json!("JWT")),
    ] {
        put(&format!("header {name} {value}"), forger.head(name, value));
    }
    let (header, claims) = (forger.header.to_string(), forger.claims.to_string());
    put("exp twice", forger.sign_text(&header, &claims.replacen('{', "{\"exp\":9999999999,", 1)));
    put("alg twice", forger.sign_text(&header.replacen('{', "{\"alg\":\"none\",", 1), &claims));
    put("more than 4 KiB", forger.claim("scope", json!("offers ".repeat(700))));
    put("no JSON", forger.sign_text(&header, "offers"));
    bad
}

/// Changes to a good token that break its signature or its form.
fn broken(good: &str) -> Vec<(String, String)> {
    let parts: Vec<_> = good.split('.').collect();
    let strange = ["x", "..", "...", "e30.e30.", "e30.e30.AAAA", "null", "%00", "a.b.c.d"];
    let mut bad: Vec<_> = strange.iter().map(|t| ((*t).to_owned(), (*t).to_owned())).collect();
    let mut put = |name: &str, token: String| bad.push((name.to_owned(), token));
    put("no signature", format!("{}.{}.", parts[0], parts[1]));
    put("two parts", format!("{}.{}", parts[0], parts[1]));
    put("padding", format!("{good}="));
    put("a part more", format!("{good}.AAAA"));
    put("the signature of zeros", format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)));
    put("a space inside", good.replacen('.', " .", 1));
    for at in (0..good.len()).step_by(41) {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        put(&format!("byte {at}"), String::from_utf8(bytes).unwrap());
    }
    bad
}

fn enter(doors: &Doors, badge: &Badge) -> (Wire, String) {
    let mut wire = doors.wire(badge);
    let token = wire.token(&badge.asker.partner.to_string(), None);
    (wire, token)
}

#[test]
fn a_token_that_is_wrong_in_any_part_is_refused_with_one_and_the_same_answer() {
    let (world, doors, badge) = shop();
    let (mut wire, good) = enter(&doors, &badge);
    let forger = Forger::new(&world, &good);
    // The forger's hand is steady: unchanged, its token is taken.
    assert_eq!(wire.get(&forger.sign(&forger.header, &forger.claims), PATH).status, 200);
    let mut bad = corpus(&forger);
    bad.extend(broken(&good));
    let key = EncodingKey::from_ec_der(new_signing_key().unwrap().expose());
    let stranger = Forger { key, ..forger };
    let foreign = stranger.sign(&stranger.header, &stranger.claims);
    bad.push(("a key that is not ours".into(), foreign));
    assert!(bad.len() >= 100, "{} tokens", bad.len());
    let mut first = None;
    for (name, token) in bad {
        let answer = wire.get(&token, PATH);
        assert_problem(&answer, "401 invalid_token", &name);
        let challenge = answer.header("www-authenticate").unwrap();
        let begins = "Bearer realm=\"fieldgate\", error=\"invalid_token\", resource_metadata=\"";
        assert!(challenge.starts_with(begins), "{name}: {challenge}");
        let mut body = answer.json();
        body["instance"] = Value::Null;
        assert_eq!(first.get_or_insert_with(|| body.clone()), &body, "{name} can be told apart");
    }
    let logged = crate::harness::doors::logged();
    assert!(!String::from_utf8_lossy(&logged).contains(&good), "a token stands in the log");
}

#[test]
fn a_token_stands_in_one_authorization_header_and_nowhere_else() {
    let (_world, doors, badge) = shop();
    let (mut wire, good) = enter(&doors, &badge);
    let bearer = format!("Bearer {good}");
    let basic = format!("Basic {good}");
    let lower = format!("bearer {good}");
    let a = |value: &'static str| ("authorization", value);
    let cases = [
        (vec![("authorization", lower.as_str())], "200 "),
        (vec![], "401 token_missing"),
        (vec![("authorization", &bearer), ("authorization", &bearer)], "400 invalid_request"),
        (vec![("authorization", &bearer), a("Basic YTpi")], "400 invalid_request"),
        (vec![("authorization", basic.as_str())], "400 invalid_request"),
        (vec![a("Bearer")], "400 invalid_request"),
        (vec![a("Bearer ")], "400 invalid_request"),
        (vec![("authorization", good.as_str())], "400 invalid_request"),
        (vec![("cookie", &bearer)], "401 token_missing"),
        (vec![("x-authorization", &bearer)], "401 token_missing"),
        (vec![("proxy-authorization", &bearer)], "401 token_missing"),
    ];
    for (headers, says) in cases {
        let answer = wire.call("GET", PATH, &headers, b"");
        assert_eq!(answer.says(), says, "{headers:?}");
        if answer.status == 401 {
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(!challenge.contains("error="), "{challenge}");
        }
    }
    for path in [format!("{PATH}&access_token={good}"), format!("{PATH}&ACCESS_TOKEN=x")] {
        assert_problem(&wire.get(&good, &path), "400 invalid_request", "a token in the query");
    }
    // No header says who somebody is: identity is the certificate of the connection.
    for name in [
        "x-client-cert",
        "client-cert",
        "x-forwarded-client-cert",
        "ssl-client-verify",
        "x-ssl-client-s-dn",
        "x-partner-id",
        "x-forwarded-user",
        "forwarded",
        "x-original-url",
        "x-http-method-override",
    ] {
        let answer = wire.call("GET", PATH, &[(name, &bearer)], b"");
        assert_eq!(answer.says(), "401 token_missing", "{name}");
    }
}

#[test]
fn a_token_is_bound_to_its_certificate_and_ends_with_a_suspension() {
    let (world, doors, badge) = shop();
    let second = wait(async {
        let (certificate, pem) = world.certificate("acme").await;
        let asker = fieldgate::flows::release::Asker { certificate, ..badge.asker };
        Badge { pem, asker, ..badge.clone() }
    });
    doors.settle(&second, |status| status == 200);
    let (mut one, first) = enter(&doors, &badge);
    let (mut two, other) = enter(&doors, &second);
    assert_problem(&two.get(&first, PATH), "401 invalid_token", "another certificate");
    assert_problem(&one.get(&other, PATH), "401 invalid_token", "another certificate");
    assert_eq!(two.get(&other, PATH).status, 200);
    let officer = actor("officer");
    wait(async { onboard::suspend(&world.gateway, &officer, "acme").await.unwrap() });
    doors.settle(&badge, |status| status == 403);
    assert_eq!(one.get(&first, PATH).says(), "403 partner_suspended");
    wait(async { onboard::resume(&world.gateway, &officer, "acme").await.unwrap() });
    doors.settle(&badge, |status| status == 200);
    assert_eq!(one.get(&first, PATH).says(), "401 invalid_token", "a token from before");
    let (mut fresh, token) = enter(&doors, &badge);
    assert_eq!(fresh.get(&token, PATH).status, 200);
}
