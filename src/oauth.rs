//! Access tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), from Microsoft Entra or any
//! other issuer.
//!
//! A token is requested once however many callers wait for it, stays in memory, and is renewed
//! before it expires. No message and no `Debug` output contains a token, a secret or an assertion.

mod aadsts;
mod answer;
mod assertion;
mod certificate;
mod claims;
mod error;
mod request;
mod settings;
mod source;

pub use self::answer::token_in_json;
pub use self::claims::Claims;
pub use self::error::OAuthError;
pub use self::settings::{Credential, MicrosoftApi, Settings};
pub use self::source::{Token, TokenSource};
