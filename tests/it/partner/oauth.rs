//! The OAuth endpoints over real TLS: token, revocation, introspection, and what is published.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::onboard;
use serde_json::{Value, json};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::forms::shop;
use crate::harness::process::until;
use crate::harness::wire::Wire;
use crate::harness::world::actor;
use crate::harness::{Badge, Doors, wait};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn id(badge: &Badge) -> String {
    badge.asker.partner.to_string()
}

#[test]
fn a_token_request_is_answered_as_the_table_says() {
    let (_world, doors, badge) = shop();
    let mut wire = doors.wire(&badge);
    let me = id(&badge);
    let other = fieldgate::id::PartnerId::new();
    let grant = "grant_type=client_credentials";
    let cases = [
        (format!("{grant}&client_id={me}"), "200 "),
        (format!("{grant}&client_id={me}&scope=offers"), "200 "),
        (format!("{grant}&client_id={me}&scope="), "200 "),
        (format!("{grant}&client_id={me}&resource=x"), "200 "),
        (format!("{grant}&client_id={other}"), "401 invalid_client"),
        (format!("{grant}&client_id=acme"), "401 invalid_client"),
        (grant.to_owned(), "400 invalid_request"),
        (format!("{grant}&client_id="), "400 invalid_request"),
        (format!("client_id={me}"), "400 invalid_request"),
        (String::new(), "400 invalid_request"),
        (format!("{grant}&{grant}&client_id={me}"), "400 invalid_request"),
        (format!("{grant}&client_id={me}&client_id={me}"), "400 invalid_request"),
        (format!("{grant}&client_id={me}&scope=offers&scope=offers"), "400 invalid_request"),
        (format!("{grant}&client_id={me}&client_secret=x"), "400 invalid_request"),
        (format!("{grant}&client_id={me}&client_assertion=x"), "400 invalid_request"),
        (format!("{grant}&client_id={me}&client_assertion_type=x"), "400 invalid_request"),
        (format!("grant_type=password&client_id={me}"), "400 unsupported_grant_type"),
        (format!("grant_type=authorization_code&client_id={me}"), "400 unsupported_grant_type"),
        (format!("grant_type=refresh_token&client_id={me}"), "400 unsupported_grant_type"),
        (format!("grant_type=CLIENT_CREDENTIALS&client_id={me}"), "400 unsupported_grant_type"),
        (format!("{grant}&client_id={me}&scope=licensing"), "400 invalid_scope"),
        (format!("{grant}&client_id={me}&scope=offers%20licensing"), "400 invalid_scope"),
        (format!("{grant}&client_id={me}&scope=intake"), "400 invalid_scope"),
        (format!("{grant}&client_id={me}&scope=offers%20offers"), "400 invalid_scope"),
        (format!("{grant}&client_id={me}&scope=everything"), "400 invalid_scope"),
        (format!("{grant}&client_id={me}&scope=%00"), "400 invalid_scope"),
    ];
    for (form, says) in cases {
        let answer = wire.form("/oauth2/token", &form);
        assert_eq!(answer.says(), says, "{form}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{form}");
        assert_eq!(answer.header("pragma"), Some("no-cache"), "{form}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{form}");
        if answer.status == 200 {
            let body = answer.json();
            assert_eq!(body["token_type"], "Bearer");
            let asked = if form.contains("scope=offers") { "offers" } else { "offers recalls" };
            assert_eq!(body["scope"], asked, "{form}");
            assert_eq!((&body["expires_in"], &body["refresh_token"]), (&json!(300), &Value::Null));
        }
    }
    let form = format!("{grant}&client_id={me}");
    for headers in [
        vec![],
        vec![("content-type", "application/json")],
        vec![("content-type", "multipart/form-data; boundary=x")],
        vec![FORM, ("authorization", "Basic YTpi")],
        vec![FORM, ("authorization", "Bearer x")],
    ] {
        let answer = wire.call("POST", "/oauth2/token", &headers, form.as_bytes());
        assert_eq!(answer.says(), "400 invalid_request", "{headers:?}");
    }
    let answer = wire.call("POST", "/oauth2/token", &[FORM], b"grant_type=\xff\xfe");
    assert_eq!(answer.says(), "400 invalid_request", "not UTF-8");
}

#[test]
fn a_token_holds_what_rfc_9068_and_8705_want_and_no_personal_data() {
    let (_world, doors, badge) = shop();
    let token = doors.wire(&badge).token(&id(&badge), None);
    let claims = claims(&token);
    let names: BTreeSet<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = "aud client_id cnf exp iat iss jti nbf scope sub";
    assert_eq!(names, wanted.split(' ').collect());
    assert_eq!(claims["iss"], doors.public_url.as_str());
    assert_eq!(claims["aud"], doors.partner_url.as_str());
    assert_eq!(claims["sub"], id(&badge).as_str());
    assert_eq!(claims["client_id"], claims["sub"]);
    assert_eq!(claims["cnf"], json!({ "x5t#S256": badge.asker.certificate.to_string() }));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let jwks = doors.public_wire().call("GET", "/oauth2/jwks.json", &[], b"").json();
    assert_eq!(jwks["keys"][0]["kid"], header["kid"]);
    assert_eq!(jwks["keys"][0]["crv"], "P-256");
    assert_eq!(jwks["keys"][0]["d"], Value::Null, "a private key is published");
    assert!(token.len() < 800, "{} bytes", token.len());
}

fn introspect(wire: &mut Wire, token: &str) -> Value {
    let answer = wire.form("/oauth2/introspect", &format!("token={token}"));
    assert_eq!(answer.status, 200, "{}", answer.says());
    answer.json()
}

#[test]
fn a_token_is_introspected_and_revoked_by_its_owner_alone() {
    let (world, doors, badge) = shop();
    let rival = wait(async {
        let rival = world.badge("rival", PartnerKind::Reseller).await;
        let email = FieldSet::of(&[Field::Email]);
        world.grant(rival.asker.partner, Purpose::Offers, email).await;
        rival
    });
    doors.settle(&rival, |status| status == 200);
    let (mut mine, mut theirs) = (doors.wire(&badge), doors.wire(&rival));
    let token = mine.token(&id(&badge), None);
    let told = introspect(&mut mine, &token);
    let claims = claims(&token);
    assert_eq!(told["active"], true);
    for name in ["iss", "aud", "sub", "client_id", "scope", "iat", "nbf", "exp", "jti", "cnf"] {
        assert_eq!(told[name], claims[name], "{name}");
    }
    let inactive = json!({ "active": false });
    assert_eq!(introspect(&mut theirs, &token), inactive);
    for garbage in ["x", "e30.e30.AAAA", &"a".repeat(5_000)] {
        assert_eq!(introspect(&mut mine, garbage), inactive);
    }
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let wrong = format!("token={token}&client_id={}", id(&rival));
        for (form, says) in [
            (String::new(), "400 invalid_request"),
            (format!("token={token}&token={token}"), "400 invalid_request"),
            (format!("token={token}&client_secret=x"), "400 invalid_request"),
            (wrong, "401 invalid_client"),
        ] {
            assert_eq!(mine.form(path, &form).says(), says, "{path} {form}");
        }
    }
    // A stranger's revocation answers 200 as well, and changes nothing.
    assert_eq!(theirs.form("/oauth2/revoke", &format!("token={token}")).status, 200);
    assert_eq!(mine.get(&token, "/v1/leads?purpose=offers").status, 200);
    assert_eq!(mine.form("/oauth2/revoke", "token=unknown").status, 200);
    assert_eq!(mine.form("/oauth2/revoke", &format!("token={token}")).status, 200);
    assert_eq!(mine.get(&token, "/v1/leads?purpose=offers").says(), "401 invalid_token");
    assert_eq!(introspect(&mut mine, &token), inactive);
    let next = mine.token(&id(&badge), None);
    assert_eq!(mine.get(&next, "/v1/leads?purpose=offers").status, 200);
}

#[test]
fn the_public_door_publishes_what_clients_discover() {
    let (world, doors, _) = shop();
    let mut wire = doors.public_wire();
    let at = "/.well-known/oauth-authorization-server";
    let server = wire.call("GET", at, &[("host", "evil.example")], b"");
    assert_eq!(server.status, 200);
    let (public, partner) = (&doors.public_url, &doors.partner_url);
    let told = server.json();
    assert_eq!(told["issuer"], public.as_str());
    assert_eq!(told["jwks_uri"], format!("{public}/oauth2/jwks.json"));
    for (name, path) in
        [("token", "token"), ("introspection", "introspect"), ("revocation", "revoke")]
    {
        let endpoint = json!(format!("{partner}/oauth2/{path}"));
        assert_eq!(told[format!("{name}_endpoint")], endpoint);
        assert_eq!(told["mtls_endpoint_aliases"][format!("{name}_endpoint")], endpoint);
        assert_eq!(
            told[format!("{name}_endpoint_auth_methods_supported")],
            json!(["tls_client_auth", "self_signed_tls_client_auth"])
        );
    }
    assert_eq!(told["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(told["response_types_supported"], json!(["none"]));
    assert_eq!(told["tls_client_certificate_bound_access_tokens"], true);
    let scopes = json!(["offers", "licensing", "support", "news", "intake", "audit", "recalls"]);
    assert_eq!(told["scopes_supported"], scopes);
    let resource = wire.call("GET", "/.well-known/oauth-protected-resource", &[], b"").json();
    assert_eq!(resource["resource"], partner.as_str());
    assert_eq!(resource["authorization_servers"], json!([public]));
    let jwks = wire.call("GET", "/oauth2/jwks.json", &[], b"");
    assert_eq!(jwks.header("cache-control"), Some("max-age=300"));
    let ca = wire.call("GET", "/pki/ca.pem", &[], b"");
    let pem = fieldgate::vault::authority::to_pem("CERTIFICATE", world.authority.certificate());
    assert_eq!(String::from_utf8(ca.body).unwrap(), pem);
    let problem = wire.call("GET", "/problems/no-such", &[], b"");
    assert_eq!(problem.says(), "404 not_found");
}

/// The serial numbers on the published list, and its number.
fn revoked(doors: &Doors) -> (Vec<String>, u64) {
    let answer = doors.public_wire().call("GET", "/pki/crl.der", &[], b"");
    assert_eq!(answer.header("content-type"), Some("application/pkix-crl"));
    let (rest, list) = CertificateRevocationList::from_der(&answer.body).unwrap();
    assert!(rest.is_empty());
    let serials = list.iter_revoked_certificates().map(|one| one.serial().to_str_radix(16));
    let number = list.crl_number().unwrap().to_string().parse().unwrap();
    (serials.collect(), number)
}

#[test]
fn a_revoked_certificate_stands_on_the_published_list() {
    let (world, doors, badge) = shop();
    let (none, first) = revoked(&doors);
    assert!(none.is_empty(), "{none:?}");
    let whoami = doors.wire(&badge).call("GET", "/v1/whoami", &[], b"").json();
    let thumbprint = badge.asker.certificate;
    wait(onboard::revoke_certificate(
        &world.gateway,
        &actor("officer"),
        thumbprint,
        "key_compromise",
    ))
    .unwrap();
    doors.settle(&badge, |status| status != 200);
    let listed = wait(until("the list names it", async || {
        let (listed, number) = revoked(&doors);
        (!listed.is_empty()).then_some((listed, number))
    }));
    assert_eq!(listed.0, [whoami["serial"].as_str().unwrap()]);
    assert!(listed.1 >= first);
}
