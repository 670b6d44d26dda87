//! The mail with every value that there is, such as an inviter with a note, in every locale; with the colours,
//! logos and footer of an organisation, or without. `tests/fixtures/showcase` is its configuration and list.

use std::path::Path;

use super::Workplace;
use super::mail::{Mail, first_of_each_locale, locales};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/showcase");
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");

/// Whether the mail has the brand of its organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brand {
    With,
    Without,
}

/// One message in each shipped locale, in the order of their tags.
pub fn mails(brand: Brand) -> Vec<Mail> {
    let workplace = Workplace::new(1);
    for file in ["partners.csv", "logo.png", "logo-dark.png"] {
        std::fs::copy(Path::new(FIXTURE).join(file), workplace.file(file)).unwrap();
    }
    let config = std::fs::read_to_string(Path::new(FIXTURE).join("config.toml")).unwrap();
    let config = config.replace("TEMPLATES", TEMPLATES);
    let (plain, _) = config.split_once("[brand]").unwrap();
    let config = if brand == Brand::With { &config } else { plain };
    workplace.write("showcase.toml", config);
    let preview = workplace.run(&["preview", "--config", "showcase.toml", "--out", "review"]);
    assert_eq!(preview.code, 0, "{preview:?}");
    let mails = first_of_each_locale(&workplace.file("review"));
    let found: Vec<_> = mails.iter().map(|it| it.locale.clone()).collect();
    assert_eq!(found, locales());
    mails
}
