//! The claims of an access token that is a JWT, for people: who it is for and what it allows.
//!
//! They are read without verification, which only the relay can do, and decide nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// How many characters of a claim are shown.
const SHOWN: usize = 100;
/// How many permissions are shown.
const PERMISSIONS: usize = 20;

/// What a token says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Which service accepts it (`aud`).
    pub audience: Option<String>,
    /// Which application requested it (`appid`, `azp`).
    pub application: Option<String>,
    /// What it allows: `roles` of an application, `scp` on behalf of a user.
    pub permissions: Vec<String>,
    /// When it expires (`exp`).
    pub expires: Option<Timestamp>,
}

impl Claims {
    /// Reads a token; `None` if it is not a JWT (RFC 7519) in plain text.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let payload = BASE64.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        let text = |name: &str| claims.get(name)?.as_str().map(shown);
        let first = |it: &Value| it.as_array()?.first()?.as_str().map(shown);
        let roles = claims.get("roles").and_then(Value::as_array);
        let roles = roles.into_iter().flatten().filter_map(Value::as_str);
        let scopes = claims.get("scp").and_then(Value::as_str);
        let scopes = scopes.into_iter().flat_map(str::split_ascii_whitespace);
        let expires = claims.get("exp").and_then(Value::as_i64);
        Some(Self {
            audience: text("aud").or_else(|| first(claims.get("aud")?)),
            application: text("appid").or_else(|| text("azp")),
            permissions: roles.chain(scopes).take(PERMISSIONS).map(shown).collect(),
            expires: expires.and_then(|it| Timestamp::from_second(it).ok()),
        })
    }
}

fn shown(text: &str) -> String {
    let printable = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().take(SHOWN).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        let encode = |it: &str| BASE64.encode(it);
        format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#), encode(payload))
    }

    #[test]
    fn claims_of_applications_and_users_are_read() {
        let application = r#"{"aud":"https://outlook.office365.com","appid":"11111111-2222","roles":["SMTP.SendAsApp","Mail.Read"],"exp":1790000000}"#;
        let expected = Claims {
            audience: Some("https://outlook.office365.com".into()),
            application: Some("11111111-2222".into()),
            permissions: vec!["SMTP.SendAsApp".into(), "Mail.Read".into()],
            expires: Timestamp::from_second(1_790_000_000).ok(),
        };
        assert_eq!(Claims::read(&token(application)), Some(expected));
        let user = Claims::read(&token(
            r#"{"aud":["a","b"],"azp":"x","scp":"SMTP.Send openid"}"#,
        ));
        let user = user.unwrap();
        assert_eq!(user.audience.as_deref(), Some("a"));
        assert_eq!(user.permissions, ["SMTP.Send", "openid"]);
        assert_eq!(user.expires, None);
    }

    #[test]
    fn other_tokens_and_hostile_claims_are_harmless() {
        for opaque in ["", "ya29.a0Af", "a.b.c", "a.b.c.d.e", &token("[1]")] {
            assert_eq!(Claims::read(opaque), None, "{opaque}");
        }
        let long = "x".repeat(10_000);
        let odd = format!(r#"{{"aud":7,"appid":"{long}\u001b[2J","roles":"all","exp":1e300}}"#);
        let claims = Claims::read(&token(&odd)).unwrap();
        assert_eq!(claims.application.map(|it| it.len()), Some(SHOWN));
        assert_eq!((claims.audience, claims.expires), (None, None));
        let control = Claims::read(&token("{\"appid\":\"\\u001b[2J\"}")).unwrap();
        assert_eq!(control.application.as_deref(), Some(" [2J"));
    }
}
