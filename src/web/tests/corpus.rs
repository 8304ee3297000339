//! More than two hundred tokens that are wrong in one way each; none is taken.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use crate::web::partner::scope::Scopes;
use crate::web::partner::token::{Tokens, Wanted};
use crate::web::partner::token_keys::TokenKeys;
#[derive(Clone, Copy)]
struct Holder {
    thumbprint: Thumbprint,
    owner: PartnerId,
    tokens_not_before: Moment,
}
/// What is wrong with a token, for the reader of a failure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    Oversize,
    Form,
    Header,
    Type,
    Algorithm,
    UnknownKey,
    Claims,
    Signature,
    Issuer,
    Audience,
    Subject,
    Lifetime,
    OtherCertificate,
    OtherOwner,
}
use crate::clock::Moment;
use crate::id::{PartnerId, Thumbprint, TokenId};
use crate::secret::KeyDocument;

const ISSUER: &str = "https://public.example";
const AUDIENCE: &str = "https://partner.example";
const NOW: Moment = Moment(1_800_000_000 * crate::clock::SECOND);

fn p256() -> KeyDocument {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    KeyDocument::new(document.unwrap().as_ref().to_vec())
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Bench {
    document: KeyDocument,
    tokens: Tokens,
    holder: Holder,
}

impl Bench {
    fn new() -> Self {
        let document = p256();
        let keys = TokenKeys::new(&document, &[]).unwrap();
        let holder = Holder {
            thumbprint: Thumbprint::of(b"leaf"),
            owner: PartnerId::new(),
            tokens_not_before: Moment(0),
        };
        Self { document, tokens: Tokens::new(keys, ISSUER.into(), AUDIENCE.into()), holder }
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            partner: self.holder.owner,
            scopes: Scopes::read("offers support").unwrap(),
            certificate: self.holder.thumbprint,
            certificate_ends_at: NOW.plus(crate::clock::DAY),
            tokens_not_before: self.holder.tokens_not_before,
        }
    }

    fn minted(&self) -> String {
        self.tokens.mint(&self.wanted(), NOW).unwrap().text
    }

    fn judge(&self, token: &str) -> Result<(), ()> {
        let t = self.tokens.judge(token, NOW).map_err(|_| ())?;
        self.tokens
            .admit(&t, self.holder.thumbprint, self.holder.owner, self.holder.tokens_not_before)
            .map_err(|_| ())
    }
    fn set(&self) -> Value {
        serde_json::from_str(&self.tokens.jwks()).unwrap()
    }

    fn kid(&self) -> String {
        self.set()["keys"][0]["kid"].as_str().unwrap().to_owned()
    }

    fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": "ES256", "kid": self.kid() })
    }

    fn claims(&self) -> Value {
        let (now, owner) = (NOW.seconds(), self.holder.owner.to_string());
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": owner, "client_id": owner,
            "iat": now, "nbf": now, "exp": now + 300, "jti": TokenId::new().to_string(),
            "scope": "offers", "cnf": { "x5t#S256": self.holder.thumbprint.to_string() },
        })
    }

    /// Signs any header and payload with the true key: only the reading can refuse them.
    fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign_text(&format!("{}.{}", b64(header), b64(payload)))
    }

    fn sign_text(&self, message: &str) -> String {
        let key = EncodingKey::from_ec_der(self.document.expose());
        let signature =
            crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }

    fn with_header(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.sign(header.to_string(), self.claims().to_string())
    }

    fn with_claims(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.sign(self.header().to_string(), claims.to_string())
    }

    /// Claims as text, for what no JSON value can hold: a member that stands there twice.
    fn with_text(&self, from: &str, to: &str) -> String {
        let text = self.claims().to_string();
        assert!(text.contains(from), "{from} is not in {text}");
        self.sign(self.header().to_string(), text.replacen(from, to, 1))
    }
}

use std::collections::HashSet;

use Wrong::*;

type Row = (&'static str, Wrong, String);

fn set(name: &'static str, to: Value) -> impl FnOnce(&mut Value) {
    move |object| object[name] = to
}

fn without(name: &'static str) -> impl FnOnce(&mut Value) {
    move |object| drop(object.as_object_mut().unwrap().remove(name))
}

/// A good header and payload under a signature made by another algorithm.
fn signed_as(bench: &Bench, alg: jsonwebtoken::Algorithm, name: &str, key: &EncodingKey) -> String {
    let mut header = bench.header();
    header["alg"] = json!(name);
    let message = format!("{}.{}", b64(header.to_string()), b64(bench.claims().to_string()));
    let signature = crypto::sign(message.as_bytes(), key, alg).unwrap();
    format!("{message}.{signature}")
}

fn public_point(bench: &Bench) -> Vec<u8> {
    let key = &bench.set()["keys"][0];
    format!("{}{}", key["x"].as_str().unwrap(), key["y"].as_str().unwrap()).into_bytes()
}

fn forms(bench: &Bench) -> Vec<Row> {
    let good = bench.minted();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let raw =
        |header: &str, payload: &str, signature: &str| format!("{header}.{payload}.{signature}");
    vec![
        ("empty", Form, String::new()),
        ("one part", Form, header.to_owned()),
        ("two parts", Form, format!("{header}.{payload}")),
        ("four parts", Form, format!("{good}.{signature}")),
        ("a dot at the end", Form, format!("{good}.")),
        ("a dot at the front", Form, format!(".{good}")),
        ("only dots", Form, "..".to_owned()),
        ("five parts, as encryption has", Form, format!("{header}.{payload}.a.b.c")),
        ("no signature", Form, raw(header, payload, "")),
        ("no payload", Header, raw("", payload, signature)),
        ("no claims", Claims, raw(header, "", signature)),
        ("white space before", Form, format!(" {good}")),
        ("white space after", Form, format!("{good} ")),
        ("a line end after", Form, format!("{good}\n")),
        ("white space inside", Form, raw(header, &format!("{payload} "), signature)),
        ("a NUL after", Form, format!("{good}\0")),
        ("signature padded", Form, format!("{good}==")),
        ("payload padded", Form, raw(header, &format!("{payload}="), signature)),
        ("header padded", Form, raw(&format!("{header}="), payload, signature)),
        ("standard alphabet", Form, raw(header, payload, &format!("+/{}", &signature[2..]))),
        ("not ASCII", Form, raw(header, payload, &format!("é{}", &signature[2..]))),
        ("signature short", Form, raw(header, payload, &b64([7; 63]))),
        ("signature long", Form, raw(header, payload, &b64([7; 65]))),
        ("signature in DER length", Form, raw(header, payload, &b64([0x30; 70]))),
        ("signature all zero", Signature, raw(header, payload, &b64([0; 64]))),
        ("trailing bits", Form, with_trailing_bits(&good)),
        ("a scheme before it", Form, format!("Bearer {good}")),
        ("quoted", Form, format!("\"{good}\"")),
        ("two of them", Form, format!("{good},{good}")),
        ("oversize", Oversize, "a".repeat(4097)),
        ("oversize and signed", Oversize, bench.with_claims(set("scope", json!("a".repeat(4096))))),
    ]
}

/// The last character of 64 bytes carries four unused bits; a careless reader ignores them.
fn with_trailing_bits(good: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = good.split_at(good.len() - 1);
    let at = ALPHABET.find(last).unwrap();
    format!("{rest}{}", &ALPHABET[at + 1..=at + 1])
}

fn headers(bench: &Bench) -> Vec<Row> {
    let h = |change: Box<dyn FnOnce(&mut Value)>| bench.with_header(change);
    let text = |header: String| bench.sign(header, bench.claims().to_string());
    let kid = bench.kid();
    let own = bench.set()["keys"][0].clone();
    let mut rows = vec![
        ("typ JWT", Type, h(Box::new(set("typ", json!("JWT"))))),
        ("typ at+JWT", Type, h(Box::new(set("typ", json!("at+JWT"))))),
        ("typ AT+JWT", Type, h(Box::new(set("typ", json!("AT+JWT"))))),
        ("typ with media prefix", Type, h(Box::new(set("typ", json!("application/at+jwt"))))),
        ("typ with space", Type, h(Box::new(set("typ", json!("at+jwt "))))),
        ("typ empty", Type, h(Box::new(set("typ", json!(""))))),
        ("typ of a logout token", Type, h(Box::new(set("typ", json!("logout+jwt"))))),
        ("typ null", Header, h(Box::new(set("typ", Value::Null)))),
        ("typ a list", Header, h(Box::new(set("typ", json!(["at+jwt"]))))),
        ("typ missing", Header, h(Box::new(without("typ")))),
        ("alg missing", Header, h(Box::new(without("alg")))),
        ("alg a list", Header, h(Box::new(set("alg", json!(["ES256"]))))),
        ("alg lower case", Algorithm, h(Box::new(set("alg", json!("es256"))))),
        ("alg none, signed", Algorithm, h(Box::new(set("alg", json!("none"))))),
        ("alg empty", Algorithm, h(Box::new(set("alg", json!(""))))),
        ("alg EdDSA", Algorithm, h(Box::new(set("alg", json!("EdDSA"))))),
        ("alg ES256K", Algorithm, h(Box::new(set("alg", json!("ES256K"))))),
        ("alg PS256", Algorithm, h(Box::new(set("alg", json!("PS256"))))),
        ("kid missing", Header, h(Box::new(without("kid")))),
        ("kid unknown", UnknownKey, h(Box::new(set("kid", json!("unknown"))))),
        ("kid empty", UnknownKey, h(Box::new(set("kid", json!(""))))),
        ("kid a path", UnknownKey, h(Box::new(set("kid", json!("../../dev/null"))))),
        ("kid SQL", UnknownKey, h(Box::new(set("kid", json!("' OR 1=1 --"))))),
        ("kid with space", UnknownKey, h(Box::new(set("kid", json!(format!("{kid} ")))))),
        ("kid upper case", UnknownKey, h(Box::new(set("kid", json!(kid.to_uppercase()))))),
        ("kid a number", Header, h(Box::new(set("kid", json!(0))))),
        ("kid null", Header, h(Box::new(set("kid", Value::Null)))),
        ("crit b64", Header, h(Box::new(set("crit", json!(["b64"]))))),
        ("crit empty", Header, h(Box::new(set("crit", json!([]))))),
        ("b64 false", Header, h(Box::new(set("b64", json!(false))))),
        ("jku", Header, h(Box::new(set("jku", json!("https://evil.example/jwks"))))),
        ("jwk, even our own", Header, h(Box::new(set("jwk", own)))),
        ("x5u", Header, h(Box::new(set("x5u", json!("https://evil.example/c"))))),
        ("x5c", Header, h(Box::new(set("x5c", json!(["AAAA"]))))),
        ("x5t", Header, h(Box::new(set("x5t", json!("AAAA"))))),
        ("x5t#S256", Header, h(Box::new(set("x5t#S256", json!("AAAA"))))),
        ("cty", Header, h(Box::new(set("cty", json!("JWT"))))),
        ("zip", Header, h(Box::new(set("zip", json!("DEF"))))),
        ("unknown member", Header, h(Box::new(set("x", json!(1))))),
    ];
    let list = json!(["at+jwt", "ES256", kid]).to_string();
    let good = bench.header().to_string();
    let twice = |name: &str, value: &str| {
        format!("{{\"{name}\":\"{value}\",{}", good.strip_prefix('{').unwrap())
    };
    rows.extend([
        ("header a list", Header, text(list)),
        ("header a string", Header, text("\"at+jwt\"".to_owned())),
        ("header null", Header, text("null".to_owned())),
        ("header empty object", Header, text("{}".to_owned())),
        ("header no JSON", Header, text("typ=at+jwt".to_owned())),
        ("header with a mark of order", Header, text(format!("\u{feff}{good}"))),
        ("header and more", Header, text(format!("{good}{{}}"))),
        ("header after white space", Header, text(format!(" {good}"))),
        ("alg twice", Header, text(twice("alg", "none"))),
        ("alg twice, alike", Header, text(twice("alg", "ES256"))),
        ("kid twice", Header, text(twice("kid", "other"))),
        ("typ twice", Header, text(twice("typ", "JWT"))),
        ("typ escaped and twice", Header, text(twice("t\\u0079p", "at+jwt"))),
    ]);
    rows
}

fn signatures(bench: &Bench) -> Vec<Row> {
    use jsonwebtoken::Algorithm as Alg;
    let point = public_point(bench);
    let jwks = bench.tokens.jwks();
    let hmac = |alg, name: &str, secret: &[u8]| {
        signed_as(bench, alg, name, &EncodingKey::from_secret(secret))
    };
    let foreign = p256();
    let foreign_key = EncodingKey::from_ec_der(foreign.expose());
    let good = bench.minted();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = bench.minted();
    let swapped = format!("{message}.{}", other.rsplit_once('.').unwrap().1);
    let none = |name: &str, signature: &str| {
        let header = json!({ "typ": "at+jwt", "alg": name, "kid": bench.kid() });
        let claims = bench.claims().to_string();
        format!("{}.{}.{signature}", b64(header.to_string()), b64(claims))
    };
    let mut claims = bench.claims();
    claims["scope"] = json!("licensing");
    let header = message.split('.').next().unwrap();
    let widened = format!("{header}.{}.{signature}", b64(claims.to_string()));
    vec![
        ("HS256 with the public point", Form, hmac(Alg::HS256, "HS256", &point)),
        ("HS256 with the public set", Form, hmac(Alg::HS256, "HS256", jwks.as_bytes())),
        ("HS256 with nothing", Form, hmac(Alg::HS256, "HS256", b"")),
        ("HS512 has 64 bytes", Algorithm, hmac(Alg::HS512, "HS512", &point)),
        ("HS512 that says ES256", Signature, hmac(Alg::HS512, "ES256", &point)),
        ("HS256 that says ES256", Form, hmac(Alg::HS256, "ES256", &point)),
        ("HS384 with the public point", Form, hmac(Alg::HS384, "HS384", &point)),
        ("none without signature", Form, none("none", "")),
        ("none with signature", Algorithm, none("none", signature)),
        ("None", Algorithm, none("None", signature)),
        ("nOnE", Algorithm, none("nOnE", signature)),
        ("ES384 that is none", Algorithm, none("ES384", signature)),
        ("ES384 of its length", Form, none("ES384", &b64([7; 96]))),
        ("RS256 that is none", Algorithm, none("RS256", signature)),
        ("RS256 of its length", Form, none("RS256", &b64([7; 256]))),
        ("another key, our kid", Signature, signed_as(bench, Alg::ES256, "ES256", &foreign_key)),
        ("the signature of another token", Signature, swapped),
        ("more scope under a true signature", Signature, widened),
        ("r and s swapped", Signature, {
            let bytes = base64::Engine::decode(
                &base64::engine::general_purpose::URL_SAFE_NO_PAD,
                signature,
            );
            let bytes = bytes.unwrap();
            format!("{message}.{}", b64([&bytes[32..], &bytes[..32]].concat()))
        }),
    ]
}

fn missing_and_mistyped(bench: &Bench) -> Vec<Row> {
    let c = |change: Box<dyn FnOnce(&mut Value)>| bench.with_claims(change);
    let now = NOW.seconds();
    let mut rows = Vec::new();
    for name in ["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "scope", "cnf"] {
        rows.push((name, Claims, c(Box::new(without(name)))));
        rows.push((name, Claims, c(Box::new(set(name, Value::Null)))));
        rows.push((name, Claims, c(Box::new(set(name, json!(true))))));
        rows.push((name, Claims, c(Box::new(set(name, json!([]))))));
    }
    rows.extend([
        ("iss a list", Claims, c(Box::new(set("iss", json!([ISSUER]))))),
        ("iss a list with another", Claims, c(Box::new(set("iss", json!(["evil", ISSUER]))))),
        ("iss a number", Claims, c(Box::new(set("iss", json!(1))))),
        ("aud a list", Claims, c(Box::new(set("aud", json!([AUDIENCE]))))),
        ("aud a list with another", Claims, c(Box::new(set("aud", json!([AUDIENCE, "evil"]))))),
        ("aud a number", Claims, c(Box::new(set("aud", json!(1))))),
        ("sub a number", Claims, c(Box::new(set("sub", json!(1))))),
        ("exp a string", Claims, c(Box::new(set("exp", json!((now + 300).to_string()))))),
        (
            "exp a fraction",
            Claims,
            bench.with_text(&format!("\"exp\":{}", now + 300), &format!("\"exp\":{}.0", now + 300)),
        ),
        (
            "exp with exponent",
            Claims,
            bench.with_text(&format!("\"exp\":{}", now + 300), "\"exp\":18e8"),
        ),
        (
            "exp over 64 bits",
            Claims,
            bench.with_text(&format!("\"exp\":{}", now + 300), "\"exp\":99999999999999999999"),
        ),
        ("iat a string", Claims, c(Box::new(set("iat", json!(now.to_string()))))),
        ("nbf an object", Claims, c(Box::new(set("nbf", json!({}))))),
        ("scope a list", Claims, c(Box::new(set("scope", json!(["offers"]))))),
        ("unknown claim", Claims, c(Box::new(set("admin", json!(true))))),
        ("act", Claims, c(Box::new(set("act", json!({ "sub": "x" }))))),
        ("claims a string", Claims, bench.sign(bench.header().to_string(), "\"x\"")),
        ("claims a list", Claims, bench.sign(bench.header().to_string(), "[]")),
        ("claims nothing", Claims, bench.sign(bench.header().to_string(), "")),
        ("claims not UTF-8", Claims, bench.sign(bench.header().to_string(), [b'{', 0xff, b'}'])),
        ("claims and more", Claims, {
            bench.sign(bench.header().to_string(), format!("{} {{}}", bench.claims()))
        }),
        ("claims as the list of their values", Claims, {
            let values: Vec<_> = bench.claims().as_object().unwrap().values().cloned().collect();
            bench.sign(bench.header().to_string(), Value::from(values).to_string())
        }),
    ]);
    for name in ["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "scope", "cnf"] {
        let value = bench.claims()[name].to_string();
        let text = format!("{{\"{name}\":{value},{}", &bench.claims().to_string()[1..]);
        rows.push((name, Claims, bench.sign(bench.header().to_string(), text)));
    }
    rows
}

fn values(bench: &Bench) -> Vec<Row> {
    let c = |change: Box<dyn FnOnce(&mut Value)>| bench.with_claims(change);
    let (now, owner) = (NOW.seconds(), bench.holder.owner.to_string());
    let thumbprint = bench.holder.thumbprint;
    let other = PartnerId::new().to_string();
    let cnf = |value: Value| c(Box::new(set("cnf", value)));
    let both = |id: String| {
        bench.with_claims(|claims| {
            claims["sub"] = json!(id);
            claims["client_id"] = json!(id);
        })
    };
    vec![
        ("iss another", Issuer, c(Box::new(set("iss", json!("https://evil.example"))))),
        ("iss with slash", Issuer, c(Box::new(set("iss", json!(format!("{ISSUER}/")))))),
        ("iss upper case", Issuer, c(Box::new(set("iss", json!(ISSUER.to_uppercase()))))),
        ("iss the audience", Issuer, c(Box::new(set("iss", json!(AUDIENCE))))),
        ("iss empty", Issuer, c(Box::new(set("iss", json!(""))))),
        ("aud another", Audience, c(Box::new(set("aud", json!("https://evil.example"))))),
        ("aud with path", Audience, c(Box::new(set("aud", json!(format!("{AUDIENCE}/v1")))))),
        ("aud the issuer", Audience, c(Box::new(set("aud", json!(ISSUER))))),
        ("aud a prefix", Audience, c(Box::new(set("aud", json!("https://partner"))))),
        ("aud empty", Audience, c(Box::new(set("aud", json!(""))))),
        ("sub another", Subject, c(Box::new(set("sub", json!(other))))),
        ("client_id another", Subject, c(Box::new(set("client_id", json!(other))))),
        ("both another", OtherOwner, both(other.clone())),
        ("both upper case", Claims, both(owner.to_uppercase())),
        ("both of another kind", Claims, both(TokenId::new().to_string())),
        ("both with space", Claims, both(format!("{owner} "))),
        ("jti empty", Claims, c(Box::new(set("jti", json!(""))))),
        ("jti of another kind", Claims, c(Box::new(set("jti", json!(owner))))),
        ("scope empty", Claims, c(Box::new(set("scope", json!(""))))),
        ("scope twice", Claims, c(Box::new(set("scope", json!("offers offers"))))),
        ("scope with two spaces", Claims, c(Box::new(set("scope", json!("offers  news"))))),
        ("scope with space at end", Claims, c(Box::new(set("scope", json!("offers "))))),
        ("scope with tab", Claims, c(Box::new(set("scope", json!("offers\tnews"))))),
        ("scope with quote", Claims, c(Box::new(set("scope", json!("offers\""))))),
        ("lives 601 s", Lifetime, c(Box::new(set("exp", json!(now + 601))))),
        ("ends in 2100", Lifetime, c(Box::new(set("exp", json!(4_102_444_800_i64))))),
        ("ends as it begins", Lifetime, c(Box::new(set("exp", json!(now))))),
        ("ends before it began", Lifetime, c(Box::new(set("exp", json!(now - 1))))),
        ("begins as it ends", Lifetime, c(Box::new(set("nbf", json!(now + 300))))),
        ("nbf negative", Claims, c(Box::new(set("nbf", json!(-1))))),
        ("iat the least number", Lifetime, c(Box::new(set("iat", json!(i64::MIN))))),
        ("exp the greatest number", Lifetime, c(Box::new(set("exp", json!(i64::MAX))))),
        ("cnf empty", Claims, cnf(json!({}))),
        ("cnf a string", Claims, cnf(json!(thumbprint.to_string()))),
        ("cnf a list", Claims, cnf(json!([thumbprint.to_string()]))),
        ("cnf jkt", Claims, cnf(json!({ "jkt": thumbprint.to_string() }))),
        ("cnf x5t", Claims, cnf(json!({ "x5t": thumbprint.to_string() }))),
        ("cnf in hex", Claims, cnf(json!({ "x5t#S256": thumbprint.hex() }))),
        ("cnf padded", Claims, cnf(json!({ "x5t#S256": format!("{thumbprint}=") }))),
        ("cnf a number", Claims, cnf(json!({ "x5t#S256": 1 }))),
        ("cnf with more", Claims, cnf(json!({ "x5t#S256": thumbprint.to_string(), "jwk": {} }))),
        (
            "cnf twice inside",
            Claims,
            bench.with_text("\"cnf\":{", &format!("\"cnf\":{{\"x5t#S256\":\"{thumbprint}\",")),
        ),
        ("cnf another", OtherCertificate, {
            cnf(json!({ "x5t#S256": Thumbprint::of(b"sibling").to_string() }))
        }),
    ]
}

#[test]
fn no_bad_token_is_taken_and_each_for_its_own_reason() {
    let bench = Bench::new();
    assert!(bench.judge(&bench.with_claims(|_| {})).is_ok(), "the bench itself is broken");
    let mut rows = forms(&bench);
    rows.extend(headers(&bench));
    rows.extend(signatures(&bench));
    rows.extend(missing_and_mistyped(&bench));
    rows.extend(values(&bench));
    let distinct: HashSet<_> = rows.iter().map(|(_, _, token)| token).collect();
    assert_eq!(distinct.len(), rows.len(), "a bad token stands here twice");
    assert!(rows.len() >= 200, "only {} bad tokens", rows.len());
    let mut taken = Vec::new();
    for (name, fault, token) in &rows {
        if bench.judge(token).is_ok() {
            taken.push((name, fault));
        }
    }
    assert!(taken.is_empty(), "of {} TAKEN: {taken:?}", rows.len());
}
