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

/// An invitation in each shipped locale, in the order of their tags.
pub fn invitations(brand: Brand) -> Vec<Mail> {
    compose(&Workplace::new(1), TEMPLATES, brand)
}

/// A reminder in each shipped locale, composed and verified like an invitation.
pub fn reminders(brand: Brand) -> Vec<Mail> {
    let workplace = Workplace::new(1);
    let folder = workplace.file("reminders");
    let copy = |from: &str, to: &str| {
        let source = std::fs::read_to_string(Path::new(TEMPLATES).join(from)).unwrap();
        // Only a reminder has this value.
        let source = source.replace("{{ invited_on }}", "2099-11-30");
        std::fs::write(folder.join(to), source).unwrap();
    };
    std::fs::create_dir(&folder).unwrap();
    copy("layout.html", "layout.html");
    for locale in locales() {
        std::fs::create_dir(folder.join(&locale)).unwrap();
        for part in ["subject.txt", "txt", "html"] {
            let [from, to] = ["reminder", "invitation"].map(|it| format!("{locale}/{it}.{part}"));
            copy(&from, &to);
        }
    }
    compose(&workplace, "reminders", brand)
}

fn compose(workplace: &Workplace, templates: &str, brand: Brand) -> Vec<Mail> {
    for file in ["partners.csv", "logo.png", "logo-dark.png"] {
        std::fs::copy(Path::new(FIXTURE).join(file), workplace.file(file)).unwrap();
    }
    let config = std::fs::read_to_string(Path::new(FIXTURE).join("config.toml")).unwrap();
    let config = config.replace("TEMPLATES", templates);
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
