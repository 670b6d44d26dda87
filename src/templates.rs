//! The templates: one folder per locale with three files, on a shared layout; three more where partners are
//! reminded.
//!
//! All templates are parsed before anybody is mailed. Their names decide about escaping: `.html` is HTML, `.txt`
//! is not. The images that they show are read with them. Values from the list are data and never template text, and no template can write one into HTML
//! unescaped (see `templates/escaping.rs`).

mod escaping;
mod images;
mod scope;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tera::{Context, Tera};

pub use self::images::{Image, ImageKind};
pub use self::scope::{BrandScope, InviterScope, PackageScope, PartnerScope, Scope, SenderScope};
use crate::config::TemplateFolder;
use crate::files::{self, writable_by_everyone};
use crate::finding::Finding;
use crate::locale::{Locale, MatchKind};

/// The files that make a locale complete.
const PARTS: [&str; 3] = [
    "invitation.subject.txt",
    "invitation.txt",
    "invitation.html",
];
/// The files that it needs as well if partners are reminded; otherwise they are not read.
const REMINDER_PARTS: [&str; 3] = ["reminder.subject.txt", "reminder.txt", "reminder.html"];
/// The largest template file.
const FILE_LIMIT: u64 = 256 * 1024;
/// The largest part of a mail; a template that writes more is faulty.
const OUTPUT_LIMIT: usize = 512 * 1024;
/// Variables that the first edition of the shipped templates did not have.
const ADDED: [&str; 9] = [
    "brand.logo",
    "brand.color",
    "brand.footer",
    "brand.privacy_url",
    "package.sharing",
    "package.approval_time",
    "package.access_duration",
    "package.inviter",
    NOTE,
];
/// The variable of notes.
const NOTE: &str = "partner.note";
/// The usual maximum size of a part.
const OUTPUT_USUAL: usize = 16 * 1024;
/// The longest subject, in characters.
const SUBJECT_LIMIT: usize = 200;

/// All templates, parsed.
pub struct Templates {
    tera: Tera,
    folders: BTreeMap<String, Locale>,
    /// The locales that have templates.
    pub locales: Vec<Locale>,
    default: Locale,
    /// The matches so far: CLDR is slow to search, and lists contain few locales.
    chosen: Mutex<HashMap<Locale, Option<(usize, MatchKind)>>>,
    /// The logos of `[brand]`.
    pub images: Vec<Image>,
    /// The variables of the second edition that no template uses.
    pub unused: Vec<&'static str>,
    /// Every file that was read, with SHA-256 over its text, lines ended by LF.
    pub sources: BTreeMap<String, [u8; 32]>,
    /// Warnings about templates that everyone can change or replace.
    pub warnings: Vec<Finding>,
}

/// Why a template cannot be used: what is wrong, where, and how to fix it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl From<anyhow::Error> for TemplateError {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// A mail as the templates render it.
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
    /// Loads and parses the configured folder.
    ///
    /// # Errors
    /// If a file cannot be read or parsed, a locale is incomplete, Tera would not escape a file, or the default
    /// locale has no templates.
    pub fn load(folder: &TemplateFolder) -> Result<Self, TemplateError> {
        Ok(Self::read(folder)?)
    }

    fn read(folder: &TemplateFolder) -> anyhow::Result<Self> {
        let (directory, default) = (&*folder.directory, &folder.default_locale);
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
                    "`{}` is not a locale; name each template folder after a locale, such as `fr` or `pt-BR`",
                    path.display()
                );
            };
            for file in entries(&path)? {
                let part = file_name(&file);
                if folder.with_reminders || !REMINDER_PARTS.contains(&part.as_str()) {
                    files.extend(read_template(&file, format!("{name}/{part}"))?);
                }
            }
            if let Some((other, _)) = folders.iter().find(|(_, it)| **it == locale) {
                bail!(
                    "the template folders `{other}` and `{name}` are the same locale; remove one"
                );
            }
            folders.insert(name, locale);
        }
        for name in folders.keys() {
            ensure_complete(folder, name, &files)?;
        }
        let locales: Vec<_> = folders.values().cloned().collect();
        let Some((default, _)) = default.nearest(&locales) else {
            bail!(
                "there is no template for the default locale `{default}` in `{}`; `access-invite init` writes the shipped templates",
                directory.display()
            );
        };
        let default = default.clone();
        let digest = |(name, text): &(String, String)| (name.clone(), Sha256::digest(text).into());
        let is_unused = |variable: &&str| {
            // A package's inviter is a variable of its own.
            let own = variable.strip_prefix("package.inviter").map(|_| "inviter.");
            let variable = own.unwrap_or(variable);
            !files.iter().any(|(_, text)| text.contains(variable))
        };
        let unused = ADDED.into_iter().filter(is_unused).collect();
        let images = folder
            .images
            .iter()
            .map(|(key, path)| Image::read(key, path));
        let images: Vec<Image> = images.collect::<anyhow::Result<_>>()?;
        let image = |it: &Image| (it.key.to_owned(), Sha256::digest(&it.bytes).into());
        let sources = files.iter().map(digest).chain(images.iter().map(image));
        let sources = sources.collect();
        let warnings = files
            .iter()
            .filter_map(|(name, _)| writable_by_everyone("the template", &directory.join(name)))
            .chain(writable_by_everyone("the template folder", directory))
            .chain(
                folder
                    .images
                    .iter()
                    .filter_map(|(_, it)| writable_by_everyone("the logo", it)),
            );
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
            images,
            unused,
            sources,
            warnings,
        })
    }

    /// Whether a template shows the notes of the list.
    #[must_use]
    pub fn show_notes(&self) -> bool {
        !self.unused.contains(&NOTE)
    }

    /// The template's locale for a partner, the nearest, and how it matched; none for the default.
    #[must_use]
    pub fn choose_by(&self, wanted: Option<&Locale>) -> (&Locale, Option<MatchKind>) {
        let Some(wanted) = wanted else {
            return (&self.default, None);
        };
        let mut chosen = self.chosen.lock();
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

    /// Renders one mail in a locale of [`Self::locales`]: a reminder if the scope says when the invitation was
    /// accepted.
    ///
    /// # Errors
    /// If a template fails with these values, for instance at an undefined variable.
    pub fn render(
        &self,
        locale: &Locale,
        scope: &Scope<'_>,
    ) -> Result<RenderedMail, TemplateError> {
        Ok(self.render_parts(locale, scope)?)
    }

    fn render_parts(&self, locale: &Locale, scope: &Scope<'_>) -> anyhow::Result<RenderedMail> {
        let (folder, _) = self
            .folders
            .iter()
            .find(|(_, it)| *it == locale)
            .with_context(|| format!("there is no template for `{locale}`"))?;
        let context = Context::from_serialize(scope).map_err(|error| describe(&error))?;
        let parts = match scope.invited_on {
            None => PARTS,
            Some(_) => REMINDER_PARTS,
        };
        let [subject, text, html] = parts.map(|part| {
            let mut output = BoundedOutput(Vec::with_capacity(OUTPUT_USUAL));
            self.tera
                .render_to(&format!("{folder}/{part}"), &context, &mut output)
                .map_err(|error| describe(&error))?;
            String::from_utf8(output.0).context("the output of a template is not UTF-8")
        });
        let subject = subject?.trim().to_owned();
        let file = || format!("`{folder}/{}`", parts[0]);
        ensure!(
            !subject.is_empty() && !subject.contains(char::is_control),
            "{} must render one line that is not empty",
            file()
        );
        ensure!(
            subject.chars().count() <= SUBJECT_LIMIT,
            "{} renders a subject of more than {SUBJECT_LIMIT} characters; shorten it",
            file()
        );
        Ok(RenderedMail {
            subject,
            text: text?,
            html: html?,
        })
    }
}

/// Checks that the folder of a locale has all files that are needed.
fn ensure_complete(
    folder: &TemplateFolder,
    locale: &str,
    files: &[(String, String)],
) -> anyhow::Result<()> {
    let has = |part: &str| files.iter().any(|it| it.0 == format!("{locale}/{part}"));
    let missing = |parts: [&str; 3]| {
        let missing = parts.into_iter().filter(|it| !has(it));
        let missing: Vec<_> = missing.map(|it| format!("`{it}`")).collect();
        missing.join(" and ")
    };
    let shown = folder.directory.join(locale);
    let shown = shown.display();
    let parts = missing(PARTS);
    ensure!(
        parts.is_empty(),
        "the locale `{shown}` is incomplete: {parts} is missing; copy it from another locale, or remove the folder",
    );
    let parts = missing(REMINDER_PARTS);
    ensure!(
        !folder.with_reminders || parts.is_empty(),
        "the locale `{shown}` has no reminder: {parts} is missing; copy it from the templates that `access-invite init` writes and adapt it, or remove `[reminders]`",
    );
    Ok(())
}

/// The entries of a folder in the order of their names, without hidden and backup files.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        anyhow!(
            "cannot read the template folder `{}`: {error}; `access-invite init` writes one",
            folder.display()
        )
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
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

/// A template with its lines ended by LF; none if the file is no template.
fn read_template(path: &Path, name: String) -> anyhow::Result<Option<(String, String)>> {
    let lower = name.to_lowercase();
    let looks_like_html = [".html", ".htm", ".xml", ".mjml"]
        .iter()
        .any(|it| lower.contains(it));
    let html = name.ends_with(".html");
    if looks_like_html && !html {
        bail!(
            "`{}` would not be escaped as HTML; rename it so that its name ends with `.html`",
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
    let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
    if let Some(line) = escaping::line_with_safe(source) {
        bail!("{}:{line}: {}", path.display(), escaping::SAFE_IS_REFUSED);
    }
    Ok(Some((name, source.replace("\r\n", "\n"))))
}

/// Tera's report as one text, with file, line, column and the marked source.
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

/// The sentence with its first letter in lower case.
fn lowercase_first(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

/// The output of a template, limited in size.
struct BoundedOutput(Vec<u8>);

impl std::io::Write for BoundedOutput {
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

    /// Faster than the default for many small writes.
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes).map(|_| ())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
