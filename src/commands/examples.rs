//! The shipped example configuration and list. A real `send` refuses their sender, link and partners.

use super::job::Job;
use crate::address::Address;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::Identity;

/// The example configuration, which shows every key.
pub const CONFIG: &str = include_str!("../../config.example.toml");
/// The example list.
pub const PARTNERS: &str = include_str!("../../partners.example.csv");
/// The address in `sender.from` of the example configuration.
const SENDER: &str = "partner-access@contoso.example";

/// Refuses a job that still has parts of the examples, all of them reported together. They are compared
/// as whole values: other `.example` addresses pass.
///
/// # Errors
/// If the sender, a link or a partner is that of the examples.
pub fn refuse_examples(job: &Job) -> Result<()> {
    let config = &job.config;
    let mut errors = Vec::new();
    if config.sender.address.canonical() == SENDER {
        errors.push(format!(
            "`sender.from` has the address of the example configuration, `{SENDER}`; set your own"
        ));
    }
    for package in &config.packages {
        if package.link.is_from_documentation() {
            errors.push(format!(
                "`packages.{}.link` leads to `{}`, the tenant of Microsoft's documentation; copy the link of your own access package",
                package.key,
                package.link.directory_hint()
            ));
        }
    }
    if let Some(address) = listed_example(job) {
        errors.push(format!(
            "`{}` lists `{address}`, a partner of the example list; remove the example rows",
            config.partners.path.display()
        ));
    }
    if errors.is_empty() {
        return Ok(());
    }
    errors.push("nothing was sent; `send --sandbox` accepts examples".into());
    Err(CommandError::new(Exit::Config, errors.join("\n")))
}

/// The first partner of the example list that is in this list.
fn listed_example(job: &Job) -> Option<Address> {
    let packages = &job.config.packages;
    addresses().find(|address| {
        packages.iter().any(|package| {
            let id = package.link.package_id();
            job.partners.contains(&Identity::new("", id, address))
        })
    })
}

fn addresses() -> impl Iterator<Item = Address> {
    let rows = PARTNERS.lines().skip(1);
    rows.filter_map(|row| Address::parse(row.split(',').next()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_those_of_the_shipped_files() {
        let config: toml::Table = CONFIG.parse().unwrap();
        let from = config["sender"]["from"].as_str().unwrap();

        assert!(from.ends_with(&format!("<{SENDER}>")), "{from}");
        assert_eq!(addresses().count(), PARTNERS.lines().count() - 1);
    }
}
