//! The shipped example configuration and list. A real `send` refuses their sender, link and partners.

use super::job::Job;
use crate::address::Address;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::Finding;
use crate::invitation::Identity;
use crate::link::AccessPackageLink;

/// The example configuration, which shows every key.
pub const CONFIG: &str = include_str!("../../config.example.toml");
/// The example list.
pub const PARTNERS: &str = include_str!("../../partners.example.csv");
/// The address in `sender.from` of the example configuration.
const SENDER: &str = "partner-access@contoso.example";
/// The link of the example configuration.
const LINK: &str = "https://myaccess.microsoft.com/@contoso.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

/// Refuses a job that still has parts of the examples, all of them reported together.
///
/// # Errors
/// If the sender, a link or a partner is that of the examples.
pub fn refuse_examples(job: &Job) -> Result<()> {
    let found = example_parts(job);
    if found.is_empty() {
        return Ok(());
    }
    let mut errors: Vec<String> = found.iter().map(Finding::to_string).collect();
    errors.push("nothing was sent; `send --sandbox` accepts examples".into());
    Err(CommandError::new(Exit::Config, errors.join("\n")))
}

/// The parts of the examples that a job still has, as warnings. They are compared as whole values: other `.example`
/// addresses and other links of the tenant pass.
pub fn example_parts(job: &Job) -> Vec<Finding> {
    let config = &job.config;
    let mut found = Vec::new();
    if config.sender.address.canonical() == SENDER {
        let message = format!(
            "`sender.from` has the address of the example configuration, `{SENDER}`, which a real `send` refuses; set your own"
        );
        found.push(Finding::warning("sender", "sender", message));
    }
    for package in config.packages.iter().filter(|it| is_example(&it.link)) {
        let at = format!("packages.{}", package.key);
        let message = format!(
            "`{at}.link` is the link of the example configuration, which a real `send` refuses; copy the link of your own access package"
        );
        found.push(Finding::warning("link", at, message));
    }
    if let Some(address) = listed_example(job) {
        let path = config.partners.path.display();
        let message = format!(
            "`{path}` lists `{address}`, a partner of the example list, which a real `send` refuses; remove the example rows"
        );
        found.push(Finding::warning("partners", path, message));
    }
    found
}

fn is_example(link: &AccessPackageLink) -> bool {
    AccessPackageLink::parse(LINK, &[]).is_ok_and(|(example, _)| {
        let same_tenant = example
            .directory_hint()
            .eq_ignore_ascii_case(link.directory_hint());
        same_tenant && example.package_id() == link.package_id()
    })
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
        let packages = config["packages"].as_table().unwrap();
        let links: Vec<_> = packages.values().map(|it| it["link"].as_str()).collect();
        assert_eq!(links, [Some(LINK)]);
        assert_eq!(addresses().count(), PARTNERS.lines().count() - 1);
    }

    #[test]
    fn only_the_whole_link_is_an_example() {
        let link = |text: &str| AccessPackageLink::parse(text, &[]).unwrap().0;
        assert!(is_example(&link(LINK)));
        assert!(is_example(&link(&LINK.replace("8e1f8f5a", "8E1F8F5A"))));
        assert!(!is_example(&link(&LINK.replace("8e1f8f5a", "9e1f8f5a"))));
        assert!(!is_example(&link(&LINK.replace("@contoso", "@fabrikam"))));
    }
}
