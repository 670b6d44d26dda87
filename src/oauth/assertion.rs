//! Client assertions: a signed statement in place of a secret (RFC 7523 §3).
//!
//! Source: Microsoft identity platform, "Application authentication certificate credentials".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::RSA_PSS_SHA256;
use secrecy::SecretString;
use serde_json::json;

use super::certificate::SigningIdentity;

/// How long an assertion is valid, in seconds.
const LIFETIME: i64 = 600;
/// How far in the past it begins, in seconds: the endpoint's clock may be slower than this machine's.
const MARGIN: i64 = 60;

/// An assertion for the endpoint `audience`, signed with PS256.
pub fn sign(
    identity: &SigningIdentity,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> SecretString {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system has random numbers");
    let begin = now.as_second() - MARGIN;
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": identity.thumbprint});
    let claims = json!({
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": BASE64URL.encode(id),
        "nbf": begin,
        "iat": begin,
        "exp": begin + LIFETIME,
    });
    let signed = format!(
        "{}.{}",
        BASE64URL.encode(header.to_string()),
        BASE64URL.encode(claims.to_string())
    );
    let key = &identity.key;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("the key signs, as its size was checked when it was read");
    format!("{signed}.{}", BASE64URL.encode(signature)).into()
}
