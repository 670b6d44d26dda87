//! DKIM key records (RFC 6376 §3.6.1, RFC 8463).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::tags::Tags;

/// A key record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub key: Key,
    /// Whether the domain is testing DKIM, so that receivers treat its mail as unsigned.
    pub testing: bool,
}

/// The public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA, with the bits of its modulus.
    Rsa(usize),
    Ed25519,
    /// The key is empty.
    Revoked,
}

/// Reads a record. The error is why it is no usable key.
pub fn parse(text: &str) -> Result<KeyRecord, String> {
    let tags = Tags::parse(text).map_err(|it| format!("`{it}` is no tag"))?;
    if tags.get("v").is_some_and(|it| it != "DKIM1") {
        return Err("its version is not DKIM1".into());
    }
    // Lists of allowed hash algorithms and services; unset: all.
    let allows = |name, wanted: &[&str]| {
        let list = tags.get(name).unwrap_or("*").split(':');
        list.map(str::trim)
            .any(|it| it == "*" || wanted.contains(&it))
    };
    if !allows("h", &["sha256"]) {
        return Err("it does not allow SHA-256 (`h=`)".into());
    }
    if !allows("s", &["email"]) {
        return Err("it is not for e-mail (`s=`)".into());
    }
    let key = tags.get("p").ok_or("it has no key (`p=`)")?;
    let flags = tags.get("t").unwrap_or_default();
    let testing = flags.split(':').any(|it| it.trim() == "y");
    let key: String = key.split_ascii_whitespace().collect();
    if key.is_empty() {
        let key = Key::Revoked;
        return Ok(KeyRecord { key, testing });
    }
    let der = BASE64
        .decode(key)
        .map_err(|_| "its key (`p=`) is damaged: it is not base64")?;
    let key = match tags.get("k").unwrap_or("rsa") {
        "rsa" => Key::Rsa(rsa_bits(&der).ok_or("its key (`p=`) is damaged: it is no RSA key")?),
        "ed25519" if der.len() == 32 => Key::Ed25519,
        "ed25519" => return Err("its key (`p=`) is damaged: it is no Ed25519 key".into()),
        other => return Err(format!("its kind of key (`k={other}`) is not known")),
    };
    Ok(KeyRecord { key, testing })
}

/// The bits of the modulus. RFC 6376 §3.6.1 asks for an `RSAPublicKey`; nearly all records contain a
/// `SubjectPublicKeyInfo`, as the RFC's own examples do.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    match SubjectPublicKeyInfo::from_der(der) {
        Ok((_, info)) => match info.parsed().ok()? {
            PublicKey::RSA(key) => modulus_bits(key.modulus),
            _ => None,
        },
        Err(_) => modulus_bits(RSAPublicKey::from_der(der).ok()?.1.modulus),
    }
}

fn modulus_bits(modulus: &[u8]) -> Option<usize> {
    let zeros = modulus.iter().take_while(|it| **it == 0).count();
    let modulus = &modulus[zeros..];
    let unused = modulus.first()?.leading_zeros();
    Some(modulus.len() * 8 - usize::try_from(unused).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

    /// The `RSAPublicKey` within the `SubjectPublicKeyInfo`.
    fn bare_rsa_key() -> String {
        const PREFIX: usize = 22;
        BASE64.encode(&BASE64.decode(RSA_1024).unwrap()[PREFIX..])
    }

    #[test]
    fn keys_are_read_with_their_size() {
        for (record, key, testing) in [
            (
                format!("v=DKIM1; k=rsa; p={RSA_1024}"),
                Key::Rsa(1024),
                false,
            ),
            (
                format!("p= {} ; t=s:y", RSA_1024.replacen("UC3", "UC3 \t", 1)),
                Key::Rsa(1024),
                true,
            ),
            (
                "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".into(),
                Key::Ed25519,
                false,
            ),
            ("v=DKIM1; p=".into(), Key::Revoked, false),
            (
                format!("h=sha1:sha256; s=email; p={}", bare_rsa_key()),
                Key::Rsa(1024),
                false,
            ),
        ] {
            assert_eq!(parse(&record), Ok(KeyRecord { key, testing }), "{record}");
        }
    }

    #[test]
    fn unusable_records_are_explained() {
        let cut = format!("p={}", &RSA_1024[..100]);
        for (record, why) in [
            ("v=DKIM2; p=x", "its version"),
            ("v=DKIM1; h=sha1; p=x", "it does not allow SHA-256"),
            ("v=DKIM1; s=other; p=x", "it is not for e-mail"),
            ("v=DKIM1; k=rsa", "it has no key"),
            ("v=DKIM1; p=%%", "it is not base64"),
            (cut.as_str(), "it is no RSA key"),
            ("k=ed25519; p=AAAA", "it is no Ed25519 key"),
            ("k=dsa; p=AAAA", "`k=dsa`"),
            ("hello", "`hello` is no tag"),
        ] {
            let error = parse(record).unwrap_err();
            assert!(error.contains(why), "{record}: {error}");
        }
    }
}
