//! The service file of libpq: parameters of connections by name.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgservice.html>. Sections begin with `[name]`; their lines are
//! `parameter=value`.

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::config::{DatabaseParameters, database_parameter};

/// A service.
#[derive(Default)]
pub struct Service {
    /// Its parameters.
    pub parameters: DatabaseParameters,
    /// Its password.
    pub password: Option<SecretString>,
}

/// The service of this name; none if the file does not have it.
///
/// # Errors
/// The number of a line, and what is wrong with it.
pub fn service(text: &str, name: &str) -> Result<Option<Service>, String> {
    let mut found: Option<Service> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            let is_wanted = section.strip_suffix(']') == Some(name);
            found = is_wanted.then(Service::default);
            continue;
        }
        let Some(service) = &mut found else { continue };
        // The line itself is not shown: it may contain a password.
        let wrong = |why: String| format!("line {}: {why}", number + 1);
        let parameter = line.split_once('=');
        let (key, value) =
            parameter.ok_or_else(|| wrong("it is not of the form `parameter=value`".into()))?;
        if key == "password" {
            service
                .password
                .get_or_insert_with(|| SecretString::from(value));
            continue;
        }
        let known = database_parameter(key).filter(|it| *it != "service");
        let known = known.ok_or_else(|| {
            let shown = Zeroizing::new(key.escape_debug().to_string());
            wrong(format!(
                "the parameter `{}` is not supported",
                &shown[..shown.len().min(40)]
            ))
        })?;
        service
            .parameters
            .entry(known)
            .or_insert_with(|| value.to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const FILE: &str = "# all\nhost=ignored\n[test]\nhost=t.example\n\n  [invitations]  \n# a comment\nhost=db.example\n port=5433 \ndbname=inv\npassword=a=b #c\nhost=second.example\n[later]\nnot a parameter\n";

    #[test]
    fn a_service_has_the_parameters_of_its_section() {
        let found = service(FILE, "invitations").unwrap().unwrap();
        let parameters: Vec<_> = found.parameters.into_iter().collect();
        assert_eq!(
            parameters,
            [
                ("dbname", "inv".to_owned()),
                ("host", "db.example".to_owned()),
                ("port", "5433".to_owned())
            ]
        );
        assert_eq!(found.password.unwrap().expose_secret(), "a=b #c");
        assert!(service(FILE, "other").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line_without_a_value() {
        let error = service(FILE, "later").err().unwrap();
        assert_eq!(error, "line 14: it is not of the form `parameter=value`");
        let error = service("[a]\nsslcert=hunter2", "a").err().unwrap();
        assert_eq!(error, "line 2: the parameter `sslcert` is not supported");
        let error = service("[a]\nservice=b", "a").err().unwrap();
        assert!(error.contains("`service`"), "{error}");
    }
}
