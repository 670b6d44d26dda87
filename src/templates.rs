//! The words: one folder a locale, three files each, on one shared layout.
//!
//! Everything is loaded and parsed before anybody is mailed, and only under names
//! that Tera escapes as it should: what ends with `.html` is HTML, what ends with
//! `.txt` is not. Values from a CSV are data and never template text, and no template
//! can put one into HTML unescaped (see `templates/escaping.rs`).

mod escaping;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::{Context, Tera};

use crate::config::TemplateFolder;
use crate::exit::{self, Exit, OrExit};
use crate::files::{self, writable_by_everyone};
use crate::finding::Finding;
use crate::locale::{Locale, MatchKind};

/// The files that make a locale complete.
const PARTS: [&str; 3] = [
    "invitation.subject.txt",
    "invitation.txt",
    "invitation.html",
];
/// The largest template file.
const FILE_LIMIT: u64 = 256 * 1024;
/// The largest part of a mail; a template that writes more has gone wrong.
const OUTPUT_LIMIT: usize = 512 * 1024;
/// What a part usually stays below.
const OUTPUT_USUAL: usize = 16 * 1024;
/// The longest subject, in characters.
const SUBJECT_LIMIT: usize = 200;

/// All templates, parsed.
pub struct Templates {
    tera: Tera,
    folders: BTreeMap<String, Locale>,
    locales: Vec<Locale>,
    default: Locale,
    /// What was found for the locales asked for so far: CLDR is slow to walk, and lists ask for few.
    chosen: Mutex<HashMap<Locale, Option<(usize, MatchKind)>>>,
    /// The digest of every file that was read.
    sources: BTreeMap<String, [u8; 32]>,
    /// Which files everyone could change.
    warnings: Vec<Finding>,
}

/// What a template may say. All values are texts; an absent one is empty.
#[derive(Debug, Serialize)]
pub struct Scope<'a> {
    /// The whole link.
    pub link: &'a str,
    /// What the partner is invited to.
    pub package: &'a PackageScope,
    /// Who is invited.
    pub partner: PartnerScope<'a>,
    /// Who invites.
    pub sender: &'a SenderScope,
    /// The campaign of the configuration.
    pub campaign: &'a str,
    /// The tag of the template's locale.
    pub locale: &'a str,
    /// `ltr` or `rtl`.
    pub direction: &'a str,
}

/// An access package in the words of one locale.
#[derive(Debug, Default, Serialize)]
pub struct PackageScope {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What to write in the request.
    pub justification: String,
    /// The last day to respond, as the locale writes dates.
    pub respond_by: String,
}

/// The partner of one row.
#[derive(Debug, Serialize)]
pub struct PartnerScope<'a> {
    /// The address as written.
    pub email: &'a str,
    /// The person's name.
    pub name: &'a str,
    /// The partner's organisation.
    pub organization: &'a str,
    /// The other columns.
    pub extra: BTreeMap<&'a str, &'a str>,
}

/// The inviting side.
#[derive(Clone, Debug, Serialize)]
pub struct SenderScope {
    /// The name beside the sender's address.
    pub name: String,
    /// The sender's address.
    pub address: String,
    /// The inviting organisation.
    pub organization: String,
    /// Whom to ask whether the mail is genuine.
    pub contact: String,
    /// The address that answers go to.
    pub reply_to: String,
}

/// A mail in words, before it is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedMail {
    /// One trimmed line.
    pub subject: String,
    /// The text part, lines ended by LF.
    pub text: String,
    /// The HTML part, lines ended by LF.
    pub html: String,
}

impl Templates {
    /// Loads and parses the folder that the configuration names.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, an incomplete locale, a name that Tera
    /// would not escape, or a default locale without templates.
    pub fn load(folder: &TemplateFolder) -> exit::Result<Self> {
        Self::read(&folder.directory, &folder.default_locale).or_exit(Exit::Config)
    }

    fn read(directory: &Path, default: &Locale) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        let mut folders = BTreeMap::new();
        for path in entries(directory)? {
            let name = file_name(&path);
            if !path.is_dir() {
                files.extend(read_template(&path, name)?);
                continue;
            }
            let Ok(locale) = Locale::parse(&name) else {
                bail!(
                    "`{}` is not a locale; each folder of templates is named after one, such as `fr` or `pt-BR`",
                    path.display()
                );
            };
            for file in entries(&path)? {
                let name = format!("{name}/{}", file_name(&file));
                files.extend(read_template(&file, name)?);
            }
            if let Some(twin) = folders.iter().find(|(_, it)| **it == locale) {
                bail!(
                    "the template folders `{}` and `{name}` are the same locale; remove one",
                    twin.0
                );
            }
            folders.insert(name, locale);
        }
        for folder in folders.keys() {
            let missing: Vec<_> = PARTS
                .iter()
                .filter(|part| {
                    !files
                        .iter()
                        .any(|(name, _)| *name == format!("{folder}/{part}"))
                })
                .map(|part| format!("`{part}`"))
                .collect();
            ensure!(
                missing.is_empty(),
                "the locale `{}` is not complete: {} is missing; copy it from another locale, or remove the folder",
                directory.join(folder).display(),
                missing.join(" and ")
            );
        }
        let locales: Vec<_> = folders.values().cloned().collect();
        let Some((default, _)) = default.nearest(&locales) else {
            bail!(
                "there is no template for the default locale `{default}` in `{}`; `access-invite init` writes some",
                directory.display()
            );
        };
        let default = default.clone();
        let digest = |(name, text): &(String, String)| (name.clone(), Sha256::digest(text).into());
        let sources = files.iter().map(digest).collect();
        let warnings = files
            .iter()
            .filter_map(|(name, _)| writable_by_everyone("the template", &directory.join(name)))
            .chain(writable_by_everyone("the template folder", directory));
        let warnings = distinct(warnings.collect()).into_iter();
        let warnings = warnings.map(|it| Finding::warning("permissions", "", it));
        let warnings = warnings.collect();
        let mut tera = escaping::engine();
        tera.add_raw_templates(files)
            .map_err(|error| describe(&error))
            .with_context(|| format!("cannot read the templates in `{}`", directory.display()))?;
        Ok(Self {
            tera,
            folders,
            locales,
            default,
            chosen: Mutex::default(),
            sources,
            warnings,
        })
    }

    /// Every file that was read, with SHA-256 over its text, lines ended by LF.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<String, [u8; 32]> {
        &self.sources
    }

    /// Which templates everyone could change or replace.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The locales that there are templates for.
    #[must_use]
    pub fn locales(&self) -> &[Locale] {
        &self.locales
    }

    /// The template's locale for a partner: the nearest, else the default.
    #[must_use]
    pub fn choose(&self, wanted: Option<&Locale>) -> &Locale {
        self.choose_by(wanted).0
    }

    /// The same, with the step that found it; none where the default stands in.
    #[must_use]
    pub fn choose_by(&self, wanted: Option<&Locale>) -> (&Locale, Option<MatchKind>) {
        let Some(wanted) = wanted else {
            return (&self.default, None);
        };
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = chosen.get(wanted).copied().unwrap_or_else(|| {
            let found = wanted.nearest(&self.locales).and_then(|(found, step)| {
                let place = self.locales.iter().position(|it| it == found)?;
                Some((place, step))
            });
            chosen.insert(wanted.clone(), found);
            found
        });
        match found {
            Some((place, step)) => (&self.locales[place], Some(step)),
            None => (&self.default, None),
        }
    }

    /// Writes one mail in a locale of [`Templates::locales`].
    ///
    /// # Errors
    /// When a template fails with these values, for instance at an undefined variable.
    pub fn render(&self, locale: &Locale, scope: &Scope<'_>) -> anyhow::Result<RenderedMail> {
        let (folder, _) = self
            .folders
            .iter()
            .find(|(_, it)| *it == locale)
            .with_context(|| format!("there is no template for `{locale}`"))?;
        let context = Context::from_serialize(scope).map_err(|error| describe(&error))?;
        let [subject, text, html] = PARTS.map(|part| {
            let mut output = Bounded(Vec::with_capacity(OUTPUT_USUAL));
            self.tera
                .render_to(&format!("{folder}/{part}"), &context, &mut output)
                .map_err(|error| describe(&error))?;
            String::from_utf8(output.0).context("a template wrote no UTF-8")
        });
        let subject = subject?.trim().to_owned();
        ensure!(
            !subject.is_empty() && !subject.contains(char::is_control),
            "`{folder}/{}` must give one line with something on it",
            PARTS[0]
        );
        ensure!(
            subject.chars().count() <= SUBJECT_LIMIT,
            "`{folder}/{}` gives a subject of more than {SUBJECT_LIMIT} characters; shorten it",
            PARTS[0]
        );
        Ok(RenderedMail {
            subject,
            text: text?,
            html: html?,
        })
    }
}

/// The entries of a folder in the order of their names, without hidden and backup files.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let told = |error: std::io::Error| {
        anyhow!(
            "cannot read the template folder `{}`: {error}; `access-invite init` writes one",
            folder.display()
        )
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let name = file_name(&path);
        if !name.starts_with('.') && !name.ends_with('~') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A template with its line ends as LF; nothing where the file is none.
fn read_template(path: &Path, name: String) -> anyhow::Result<Option<(String, String)>> {
    let lower = name.to_lowercase();
    let looks_like_html = [".html", ".htm", ".xml", ".mjml"]
        .iter()
        .any(|it| lower.contains(it));
    let html = name.ends_with(".html");
    if looks_like_html && !html {
        bail!(
            "`{}` would be written without HTML escaping; let its name end with `.html`",
            path.display()
        );
    }
    if !html && !name.ends_with(".txt") {
        return Ok(None);
    }
    let bytes = files::read(path, FILE_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => anyhow!(
            "the template `{}` is larger than {} KiB; shorten it",
            path.display(),
            FILE_LIMIT / 1024
        ),
        _ => anyhow!("cannot read the template `{}`: {error}", path.display()),
    })?;
    let source = String::from_utf8(bytes).map_err(|_| {
        anyhow!(
            "the template `{}` is not UTF-8; save it as UTF-8",
            path.display()
        )
    })?;
    if let Some(line) = escaping::line_with_safe(&source) {
        bail!("{}:{line}: {}", path.display(), escaping::SAFE_IS_REFUSED);
    }
    Ok(Some((name, source.replace("\r\n", "\n"))))
}

/// The same texts, each once, in their order.
fn distinct(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    texts.retain(|it| seen.insert(it.clone()));
    texts
}

/// Tera's report as one text; it names file, line and column and draws the place.
fn describe(error: &tera::Error) -> anyhow::Error {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut text = lowercase_first(text);
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    anyhow::Error::msg(text)
}

/// A sentence that begins in lower case, as all of ours do.
fn lowercase_first(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

/// A part of a mail in the making, which must not grow without end.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_LIMIT {
            return Err(std::io::Error::other(format!(
                "the template writes more than {} KiB",
                OUTPUT_LIMIT / 1024
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Templates write in many small pieces, each of them whole.
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(|_| ())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
