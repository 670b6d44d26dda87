//! The certificate of an application: one PEM file with the certificate and its private key.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::signature::RsaKeyPair;
use secrecy::zeroize::Zeroizing;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::OAuthError;
use crate::secret;

/// The key that names the file.
const KEY: &str = "microsoft.certificate_file";

/// A key, and the certificate that belongs to it.
pub struct SigningIdentity {
    /// Signs assertions.
    pub key: RsaKeyPair,
    /// The base64url SHA-256 thumbprint of the certificate (RFC 7515 §4.1.8).
    pub thumbprint: String,
}

/// Reads the file. `now` decides whether the certificate is valid.
pub fn load(path: &Path, now: Timestamp) -> Result<SigningIdentity, OAuthError> {
    let expected = "it must contain the certificate and its private key, as PEM";
    let pem = secret::read_private_file(path, KEY, expected)?;
    parse(&pem, now).map_err(|why| {
        let path = path.display();
        OAuthError::Configuration(format!("cannot use `{KEY}` (`{path}`): {why}"))
    })
}

fn parse(pem: &[u8], now: Timestamp) -> Result<SigningIdentity, String> {
    let contains = |text: &str| pem.windows(text.len()).any(|it| it == text.as_bytes());
    if !contains("-----BEGIN ") {
        return Err("it is not PEM; convert a .pfx or .p12 file by `openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem`".into());
    }
    if contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains("Proc-Type: 4,ENCRYPTED") {
        return Err("its private key is encrypted, and the program cannot ask for the password; decrypt it by `openssl pkey -in OLD.pem -out KEY.pem`, and put key and certificate into one file that only this user can read".into());
    }
    let key = private_key(pem)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| "a certificate in it is damaged")?;
    if certificates.is_empty() {
        return Err("it contains no certificate; add the certificate that was uploaded to the app registration".into());
    }
    // The file may contain the issuers of the certificate, in any order.
    let found = certificates.iter().find_map(|der| {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let public_key = &parsed.public_key().subject_public_key.data;
        (public_key.as_ref() == key.public().as_ref()).then_some((der, parsed))
    });
    let Some((der, certificate)) = found else {
        return Err("its certificate and its private key do not belong together".into());
    };
    check_validity(&certificate, now)?;
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, der));
    Ok(SigningIdentity { key, thumbprint })
}

fn private_key(pem: &[u8]) -> Result<RsaKeyPair, String> {
    let not_rsa = "its private key is not an RSA key; Microsoft Entra accepts certificates with RSA keys of 2,048 to 4,096 bits";
    let Some(key) = PrivateKeyDer::pem_slice_iter(pem).next() else {
        return Err(
            "it contains no private key; a file from \"Certificates & secrets\" has only the certificate"
                .into(),
        );
    };
    let key = Zeroizing::new(key.map_err(|_| "its private key is damaged")?);
    let key = match &*key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(not_rsa.into()),
    };
    key.map_err(|error| match error.to_string().as_str() {
        "WrongAlgorithm" => not_rsa.into(),
        "TooSmall" | "TooLarge" => {
            "its RSA key has the wrong size; it must have 2,048 to 4,096 bits".into()
        }
        _ => "its private key is damaged".into(),
    })
}

fn check_validity(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), String> {
    let validity = certificate.validity();
    let day = |seconds| {
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        time.to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
    };
    let (first, last) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    if now.as_second() > last {
        let day = day(last);
        return Err(format!(
            "its certificate expired on {day}; create a new one, upload it to the app registration, and replace the file"
        ));
    }
    if now.as_second() < first {
        let day = day(first);
        return Err(format!(
            "its certificate is valid only from {day} on; this machine's clock may be wrong"
        ));
    }
    Ok(())
}
