//! Gate G8: a body that is too large is refused early, whichever way its size is told.

use super::forms::{assert_problem, shop};

#[test]
fn a_body_or_head_beyond_its_limit_is_refused_and_the_connection_closes() {
    let (_world, doors, badge) = shop();
    let mut wire = doors.wire(&badge);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
        let answer = wire.call("POST", path, &form, &vec![b'a'; 16 * 1024 + 1]);
        assert_problem(&answer, "413 payload_too_large", path);
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        let fits = wire.call("POST", path, &form, &vec![b'a'; 16 * 1024]);
        assert_eq!(fits.says(), "400 invalid_request", "{path}");
    }
    let large = "a".repeat(17 * 1024);
    let answer = wire.call("GET", "/v1/whoami", &[("x-large", &large)], b"");
    assert_problem(&answer, "431 head_too_large", "a large header");
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = wire.call("GET", &format!("/v1/leads?purpose={large}"), &[], b"");
    assert_problem(&answer, "431 head_too_large", "a large query");
}
