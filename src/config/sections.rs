//! The tables of the configuration, one function each: which keys there are, what
//! each must be, and what holds when it is absent.
//!
//! A function that returns `None` has put at least one problem on the list.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use toml::de::DeValue;

use super::reader::Section;
use super::values::{
    command, date, duration, encoding, expected, host, list, locale, mailbox, number, one_of,
    recipients, text, texts,
};
use super::{
    BadRows, Column, Columns, Config, Deadlines, LedgerFiles, Limits, Login, MissingLocale,
    Package, PartnerFile, Proof, Sender, Smtp, TemplateFolder, Tls,
};
use crate::invitation::RetrySchedule;
use crate::link::AccessPackageLink;
use crate::locale::Locale;

/// The most packages; each of them is tried in every locale before anything is sent.
const PACKAGES_LIMIT: usize = 1_000;

/// `None` only after at least one problem is on the list.
pub fn read(mut root: Section<'_>, file: &Path) -> Option<Config> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let path = |value: &DeValue<'_>| text(value).map(|it| folder.join(it));
    let mut warnings = Vec::new();

    let campaign = root.required("campaign", text);
    let sender = read_sender(root.section("sender"));
    let templates = read_templates(root.section("templates"), folder);
    let section = root.section("packages");
    if section.is_empty() {
        root.problem(
            "packages",
            "no access package is configured; write a table `[packages.NAME]` with `link` and `name`",
        );
    }
    let packages = if section.len() > PACKAGES_LIMIT {
        let message = format!(
            "{} packages are configured, and {PACKAGES_LIMIT} are the most; use several configurations",
            section.len()
        );
        root.problem("packages", message);
        Vec::new()
    } else {
        read_packages(section, &templates.default_locale, &mut warnings)
    };
    let partners = read_partners(root.section("partners"), folder);
    let smtp = read_smtp(root.section("smtp"), folder, &mut warnings);
    let limits = read_limits(root.section("limits"));
    let retry = read_retry(root.section("retry"));

    let mut section = root.section("ledger");
    // Lock and log stand beside the file itself, whatever name leads to it.
    let ledger = section.required("file", path).map(behind_link);
    let witness = section.optional("witness", path).map(behind_link);
    let ledger = ledger.map(|file| LedgerFiles {
        witness: witness.unwrap_or_else(|| beside(&file, ".witness")),
        file,
    });
    if let Some(ledger) = &ledger
        && belonging_to_ledger(&ledger.file)
            .iter()
            .any(|(_, other)| is_same_file(&ledger.witness, other))
    {
        let message = "`ledger.witness` would overwrite the ledger or a file that belongs to it; name a file of its own";
        section.problem("witness", message);
    }
    section.finish();
    let mut section = root.section("approval");
    let approval = section.optional("file", path);
    section.finish();
    let mut section = root.section("results");
    let results = section.optional("csv", path).map(behind_link);
    let mut others = vec![("the configuration", file.to_owned())];
    others.extend(ledger.iter().flat_map(|it| belonging_to_ledger(&it.file)));
    let witness = ledger.iter().map(|it| it.witness.clone());
    others.extend(witness.map(|it| ("the witness of the ledger", it)));
    others.extend(
        partners
            .iter()
            .map(|it| ("the partner file", it.path.clone())),
    );
    others.extend(smtp.iter().flat_map(files_of_smtp));
    others.extend(approval.iter().map(|it| ("the approval", it.clone())));
    if let Some(results) = &results
        && let Some(what) = same_as(results, &others, &templates.directory)
    {
        let message = format!("`results.csv` would overwrite {what}; name a file of its own");
        section.problem("csv", message);
    }
    section.finish();
    root.finish();

    Some(Config {
        campaign: campaign?,
        sender: sender?,
        packages,
        partners: partners?,
        templates,
        smtp: smtp?,
        limits,
        retry,
        ledger: ledger?,
        results,
        approval,
        // Read from the whole file, when all of it is right.
        keys: BTreeMap::new(),
        warnings,
    })
}

/// The file that a symbolic link leads to, where it leads anywhere.
fn behind_link(path: PathBuf) -> PathBuf {
    if path.is_symlink() {
        path.canonicalize().unwrap_or(path)
    } else {
        path
    }
}

/// The ledger, and what stands beside it during a run.
fn belonging_to_ledger(ledger: &Path) -> [(&'static str, PathBuf); 5] {
    ["", "-wal", "-shm", "-journal", ".lock"].map(|suffix| {
        let path = beside(ledger, suffix);
        ("the ledger or a file that belongs to it", path)
    })
}

/// The file whose name is that of `file` with a suffix.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn files_of_smtp(smtp: &Smtp) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    files.extend(
        smtp.ca_file
            .clone()
            .map(|it| ("the file of `smtp.ca_file`", it)),
    );
    if let Some(Proof::PasswordFile(path)) = smtp.login.as_ref().map(|it| &it.proof) {
        files.push(("the file of `smtp.password_file`", path.clone()));
    }
    files
}

/// Which of the `others` a file is, or that it stands among the templates.
fn same_as(
    file: &Path,
    others: &[(&'static str, PathBuf)],
    templates: &Path,
) -> Option<&'static str> {
    let same = others.iter().find(|(_, other)| is_same_file(file, other));
    let among_templates = || {
        let templates = templates.canonicalize().ok()?;
        place(file)?
            .starts_with(templates)
            .then_some("what belongs to the templates")
    };
    same.map(|(what, _)| *what).or_else(among_templates)
}

/// Whether two paths lead to one file, which need not exist yet.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |it: &Path| it.metadata().map(|it| (it.dev(), it.ino()));
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => place(one).is_some_and(|it| Some(it) == place(other)),
    }
}

/// A path with its folder in one spelling.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

fn read_sender(mut section: Section<'_>) -> Option<Sender> {
    let from = section.required("from", mailbox);
    let reply_to = section.optional("reply_to", mailbox);
    let organization = section.required("organization", text);
    let contact = section.optional("contact", text);
    section.finish();
    let (name, address) = from?;
    Some(Sender {
        name,
        address,
        reply_to,
        organization: organization?,
        contact,
    })
}

fn read_packages(
    mut packages: Section<'_>,
    default_locale: &Locale,
    warnings: &mut Vec<String>,
) -> Vec<Arc<Package>> {
    let mut read: Vec<Arc<Package>> = Vec::new();
    for (key, _, mut section) in packages.each_section() {
        let hosts = section.or("allow_host", Vec::new(), |value| match value {
            DeValue::String(_) => text(value).map(|it| vec![it]),
            _ => list(text)(value),
        });
        // As it stands, with blanks and all.
        let link = section.required("link", |value| {
            let link = value.as_str().ok_or_else(|| expected("a text", value))?;
            Ok(link.to_owned())
        });
        let link = link.and_then(|text| {
            AccessPackageLink::parse(&text, &hosts)
                .map_err(|error| {
                    let message =
                        format!("`packages.{key}.link` is not a whole My Access link: {error}");
                    section.problem_within("link", error.place(&text), text.len(), message);
                })
                .ok()
        });
        let texts = |value: &DeValue<'_>| texts(value, default_locale);
        let name = section.required("name", texts);
        let description = section.optional("description", texts);
        let justification = section.optional("justification", texts);
        let respond_by = section.optional("respond_by", date);
        if let Some((link, _)) = &link
            && let Some(twin) = read
                .iter()
                .find(|it| it.link.package_id() == link.package_id())
        {
            let message = format!(
                "`packages.{key}` has the same access package id as `packages.{}`; copy the link of the other package, or remove one of the two",
                twin.key
            );
            section.problem("link", message);
        }
        section.finish();
        let (Some((link, found)), Some(name)) = (link, name) else {
            continue;
        };
        let found = found.iter().map(|it| format!("packages.{key}: {it}"));
        warnings.extend(found);
        read.push(Arc::new(Package {
            key,
            link,
            name,
            description,
            justification,
            respond_by,
        }));
    }
    read
}

fn read_partners(mut section: Section<'_>, folder: &Path) -> Option<PartnerFile> {
    let path = section.required("file", |value| text(value).map(|it| folder.join(it)));
    let encoding = section.or("encoding", None, encoding);
    let delimiter = section.or(
        "delimiter",
        None,
        one_of(&[
            ("auto", None),
            (",", Some(b',')),
            (";", Some(b';')),
            ("\t", Some(b'\t')),
        ]),
    );
    let columns = read_columns(section.section("columns"));
    let bad_rows = section.or(
        "bad_rows",
        BadRows::Refuse,
        one_of(&[("refuse", BadRows::Refuse), ("skip", BadRows::Skip)]),
    );
    section.finish();
    Some(PartnerFile {
        path: path?,
        encoding,
        delimiter,
        columns,
        bad_rows,
    })
}

fn read_columns(mut section: Section<'_>) -> Columns {
    let mut column = |key: &'static str| {
        let header = section.optional(key, text);
        Column {
            key,
            configured: header.is_some(),
            header: header.unwrap_or_else(|| key.to_owned()),
        }
    };
    let columns = Columns {
        email: column("email"),
        name: column("name"),
        organization: column("organization"),
        locale: column("locale"),
        package: column("package"),
    };
    let all = columns.all();
    for (place, column) in all.iter().enumerate().filter(|(_, it)| it.configured) {
        // A header that nobody names for `email` is still the one of the addresses.
        let other = all.iter().enumerate().find(|(other, it)| {
            let counts = it.key == "email" || (it.configured && *other < place);
            *other != place && counts && it.has_same_header(column)
        });
        if let Some((_, other)) = other {
            let message = format!(
                "`partners.columns.{}` and `partners.columns.{}` are the same header, `{}`; a header belongs to one of them",
                other.key,
                column.key,
                column.header.escape_debug()
            );
            section.problem(column.key, message);
        }
    }
    section.finish();
    columns
}

fn read_templates(mut section: Section<'_>, folder: &Path) -> TemplateFolder {
    let english = || Locale::parse("en").expect("`en` is a language tag");
    let templates = TemplateFolder {
        directory: section.or("directory", folder.join("templates"), |value| {
            text(value).map(|it| folder.join(it))
        }),
        default_locale: section
            .optional("default_locale", locale)
            .unwrap_or_else(english),
        missing_locale: section.or(
            "missing_locale",
            MissingLocale::Default,
            one_of(&[
                ("default", MissingLocale::Default),
                ("refuse", MissingLocale::Refuse),
            ]),
        ),
    };
    section.finish();
    templates
}

fn read_smtp(mut section: Section<'_>, folder: &Path, warnings: &mut Vec<String>) -> Option<Smtp> {
    let host = section.required("host", host);
    let tls = section.or(
        "tls",
        Tls::Implicit,
        one_of(&[
            ("implicit", Tls::Implicit),
            ("starttls", Tls::StartTls),
            ("none", Tls::None),
        ]),
    );
    let default_port = match tls {
        Tls::Implicit => 465,
        Tls::StartTls => 587,
        Tls::None => 25,
    };
    let port = section
        .optional("port", number(1..=65_535))
        .map_or(default_port, |it| {
            u16::try_from(it).expect("the range ends at 65535")
        });
    warnings.extend(mixed_up(port, tls));
    let ca_file = section.optional("ca_file", |value| text(value).map(|it| folder.join(it)));
    let login = read_login(&mut section, folder, tls);
    let connections = section.or("connections", 2, number(1..=100));
    let pipelining = section.or(
        "pipelining",
        true,
        one_of(&[("auto", true), ("off", false)]),
    );
    let hello = section.optional("hello", |value| {
        let name = text(value)?;
        let fits = name.starts_with('[') || idna::domain_to_ascii_strict(&name).is_ok();
        (fits && name.is_ascii())
            .then_some(name)
            .ok_or_else(|| expected("a host name or an address literal", value))
    });
    let loopback = host.as_deref().is_some_and(is_loopback);
    let deadlines = read_deadlines(section.section("deadlines"), loopback);
    if tls == Tls::None && host.is_some() && !loopback {
        section.problem(
            "tls",
            "`smtp.tls` = \"none\" is for a relay on this machine only; use \"implicit\"",
        );
    }
    section.finish();
    Some(Smtp {
        host: host?,
        port,
        tls,
        ca_file,
        login,
        connections,
        pipelining,
        hello,
        deadlines,
    })
}

/// A user name and one proof, or neither.
fn read_login(section: &mut Section<'_>, folder: &Path, tls: Tls) -> Option<Login> {
    let username = section.optional("username", text);
    let proofs = [
        (
            "password_file",
            section
                .optional("password_file", text)
                .map(|it| Proof::PasswordFile(folder.join(it))),
        ),
        (
            "password_env",
            section
                .optional("password_env", text)
                .map(Proof::PasswordEnv),
        ),
        (
            "password_credential",
            section
                .optional("password_credential", text)
                .map(Proof::PasswordCredential),
        ),
        (
            "token_command",
            section
                .optional("token_command", command)
                .map(Proof::TokenCommand),
        ),
    ];
    let mut given = proofs.into_iter().filter_map(|(key, it)| Some((key, it?)));
    let first = given.next();
    if let Some((second, _)) = given.next() {
        section.problem(
            second,
            "a login needs one proof: one of `password_file`, `password_env`, `password_credential` and `token_command`, not several",
        );
    }
    match (username, first) {
        (None, None) => None,
        (Some(_), None) => {
            section.problem(
                "username",
                "`smtp.username` needs a proof: one of `password_file`, `password_env`, `password_credential` and `token_command`",
            );
            None
        }
        (None, Some((key, _))) => {
            section.problem(key, format!("`smtp.{key}` needs `smtp.username` beside it"));
            None
        }
        (Some(username), Some((_, proof))) => {
            if tls == Tls::None {
                section.problem(
                    "username",
                    "a login never goes over a connection in clear: set `smtp.tls` to \"implicit\" or \"starttls\"",
                );
            }
            Some(Login { username, proof })
        }
    }
}

/// A port that is registered for the other way to begin TLS (RFC 8314 §7.3, RFC 6409).
fn mixed_up(port: u16, tls: Tls) -> Option<String> {
    let (means, set, other) = match (port, tls) {
        (465, Tls::StartTls) => ("TLS from the first byte", "implicit", 587),
        (587 | 25, Tls::Implicit) => ("STARTTLS", "starttls", 465),
        _ => return None,
    };
    let now = match tls {
        Tls::StartTls => "starttls",
        _ => "implicit",
    };
    Some(format!(
        "`smtp.port` = {port} is for {means}, but `smtp.tls` is \"{now}\", so both sides may wait for each other until a deadline ends it; set `tls = \"{set}\"`, or `port = {other}`"
    ))
}

/// Whether a host is this machine by its name alone.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|it| it.to_canonical().is_loopback())
}

fn read_deadlines(mut section: Section<'_>, loopback: bool) -> Deadlines {
    let mut deadlines = Deadlines::default();
    let places: [(&'static str, &mut Duration); 12] = [
        ("connect", &mut deadlines.connect),
        ("tls", &mut deadlines.tls),
        ("banner", &mut deadlines.banner),
        ("ehlo", &mut deadlines.ehlo),
        ("starttls", &mut deadlines.starttls),
        ("auth", &mut deadlines.auth),
        ("mail", &mut deadlines.mail),
        ("rcpt", &mut deadlines.rcpt),
        ("data", &mut deadlines.data),
        ("body", &mut deadlines.body),
        ("dot", &mut deadlines.dot),
        ("rset", &mut deadlines.rset),
    ];
    for (key, place) in places {
        if let Some(span) = section.optional(key, duration) {
            *place = span.unsigned_abs();
        }
    }
    if !loopback && deadlines.dot < Duration::from_mins(1) {
        section.problem(
            "dot",
            "`smtp.deadlines.dot` must be at least \"60s\": giving up earlier leaves messages whose fate nobody knows (RFC 5321 §4.5.3.2.6)",
        );
    }
    section.finish();
    deadlines
}

fn read_limits(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        per_minute: section.or("per_minute", 30, number(1..=1_000_000)),
        per_day: section.or("per_day", 10_000, number(1..=100_000_000)),
        new_per_run: section.or("new_per_run", 500, number(0..=100_000_000)),
        only_to: section.optional("only_to", list(recipients)),
        max_runtime: section
            .optional("max_runtime", duration)
            .map(SignedDuration::unsigned_abs),
    };
    section.finish();
    limits
}

fn read_retry(mut section: Section<'_>) -> RetrySchedule {
    let schedule = RetrySchedule {
        first_after: section.or("first_after", SignedDuration::from_mins(30), duration),
        max_after: section.or("max_after", SignedDuration::from_hours(8), duration),
        give_up_after: section.or("give_up_after", SignedDuration::from_hours(120), duration),
    };
    if schedule.max_after < schedule.first_after {
        section.problem(
            "max_after",
            "`retry.max_after` must not be shorter than `retry.first_after`",
        );
    }
    section.finish();
    schedule
}
