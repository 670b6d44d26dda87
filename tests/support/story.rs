//! A campaign over three weeks: 200 partners, six languages, two packages, refusals, an unknown delivery, bounces,
//! a reminder, requests for access, and two approvals. The commands run in this process with a clock of their own.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access_invite::cli;
use access_invite::config::Config;
use access_invite::console::{Console, Messages, Screen};
use access_invite::exit::Exit;
use access_invite::invitation::{AccessState, PersonHasher, invite_id};
use access_invite::ledger::{Ledger, PersonAccess, RunEnd, RunStart};
use access_invite::link::PackageId;
use jiff::{SignedDuration, Timestamp};

use super::smtp::{Action, Call, Server, Stage, reply};
use super::{LINK, Workplace};

/// 2026-11-02, 08:00 UTC, a Monday.
const START: i64 = 1_793_606_400;
const DAY: i64 = 24 * 60;
const LOCALES: [&str; 6] = ["en", "fr", "de", "he", "ja", "pt-BR"];
const NAMES: [&str; 12] = [
    "Ada Lovelace",
    "François Lefèvre",
    "Grete Hermann",
    "שרה כהן",
    "山田 太郎",
    "João Gonçalves",
    "Siobhán O'Brien",
    "Żaneta Łęcka",
    "نور الهدى عبد الرحمن",
    "Nguyễn Thị Minh Khai",
    "Maximiliane von und zu Hohenstaufen-Rechberg",
    "",
];
const FIRMS: [&str; 8] = [
    "Fabrikam",
    "L'Atelier du Port",
    "Harbour Works Ltd",
    "Association internationale pour l’aménagement durable des ports",
    "Nordwind Wasserbau",
    "潮見港湾設計",
    "Chantiers Navals Réunis",
    "Porto Verde",
];

static NOW: AtomicI64 = AtomicI64::new(START);
/// The clock is shared, so one story is told at a time.
static TURN: Mutex<()> = Mutex::new(());

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
}

/// The campaign, while its clock is held.
pub struct Story {
    pub workplace: Workplace,
    _server: Server,
    _turn: MutexGuard<'static, ()>,
}

impl Story {
    /// The whole campaign of this many partners, at least 40.
    pub fn of(partners: usize) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = relay();
        let mut workplace = Workplace::new(server.port());
        workplace.smtp("connections = 1");
        templates(&mut workplace);
        let story = Self {
            workplace,
            _server: server,
            _turn: turn,
        };
        story.list(partners * 3 / 5);
        story.approve(0, "Ada Lovelace", "looked through with the harbour team");
        story.run(30, &["send", "--limit", "5"], &[Exit::Done, Exit::TryLater]);
        story.run(95, &["send"], &[Exit::Unknown]);
        story.run(
            DAY + 60,
            &["send"],
            &[Exit::Unknown, Exit::Refused, Exit::Done, Exit::TryLater],
        );
        story.bounces(2 * DAY, &[3, 4, 20]);
        story.list(partners);
        story.approve(3 * DAY + 400, "Grete Hermann", "second part of the list");
        story.run(3 * DAY + 430, &["send"], &[Exit::Unknown, Exit::Refused]);
        story.run(
            4 * DAY,
            &[
                "resolve",
                "--all-unknown",
                "--as",
                "accepted",
                "--note",
                "queued as 4XyZ at 09:35",
            ],
            &[Exit::Done],
        );
        story.run(
            4 * DAY + 90,
            &["send"],
            &[Exit::Done, Exit::Refused, Exit::TryLater],
        );
        story.bounces(5 * DAY, &[31, 33]);
        story.access(partners, 6 * DAY);
        story.run(
            9 * DAY,
            &["send"],
            &[Exit::Done, Exit::Refused, Exit::TryLater],
        );
        story.access(partners, 12 * DAY);
        story.run(
            12 * DAY + 30,
            &[
                "resolve",
                "p8@harbour.example",
                "--as",
                "abandoned",
                "--note",
                "left the company",
            ],
            &[Exit::Done],
        );
        Self::set(21 * DAY);
        story
    }

    fn set(minutes: i64) {
        NOW.store(START + minutes * 60, Ordering::SeqCst);
    }

    /// Runs a verb at this many minutes after the start.
    #[track_caller]
    fn run(&self, minutes: i64, verb: &[&str], expected: &[Exit]) {
        Self::set(minutes);
        let (exit, said) = self.command(verb);
        assert!(expected.contains(&exit), "{verb:?}: {exit:?} {said}");
    }

    /// Runs a verb now; gives its exit code and all that it prints.
    pub fn command(&self, verb: &[&str]) -> (Exit, String) {
        let config = self.workplace.file("config.toml");
        let arguments = [&["access-invite"], verb, &["-c", config.to_str().unwrap()]].concat();
        let parsed = cli::parse(arguments.into_iter().map(Into::into)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            input: &mut std::io::empty(),
            interactive: false,
            screen: Screen::default(),
            clock,
            messages: Messages::default(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let exit = runtime.block_on(cli::run(parsed, &mut console));
        let exit = exit.unwrap_or_else(|error| panic!("{verb:?}: {error}"));
        let said = [out, err].concat();
        (exit, String::from_utf8(said).unwrap())
    }

    fn list(&self, partners: usize) {
        let row = |it: usize| {
            let (name, firm) = (NAMES[it % NAMES.len()], FIRMS[it % FIRMS.len()]);
            let locale = LOCALES[it % LOCALES.len()];
            let package = if it % 3 == 1 { "plans" } else { "project" };
            format!("{},\"{name}\",\"{firm}\",{locale},{package}\n", address(it))
        };
        let rows: String = (0..partners).map(row).collect();
        self.workplace.write(
            "partners.csv",
            &format!("email,name,organization,locale,package\n{rows}"),
        );
    }

    /// Records that somebody approves what a run would send.
    fn approve(&self, minutes: i64, by: &str, note: &str) {
        let out = self.workplace.file("preview");
        let (_, said) = self.command(&["preview", "--out", out.to_str().unwrap()]);
        let digest = said.split("digest of the inputs: ").nth(1).unwrap();
        let digest = &digest[..67];
        self.run(
            minutes,
            &["approve", digest, "--by", by, "--note", note],
            &[Exit::Done],
        );
    }

    /// Reads delivery reports about these partners.
    fn bounces(&self, minutes: i64, partners: &[usize]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
        let report = std::fs::read_to_string(folder.join("postfix-unknown-user.eml")).unwrap();
        let status = self.workplace.status();
        let mut files = Vec::new();
        for partner in partners {
            let address = address(*partner);
            let mut invitations = status["invitations"].as_array().unwrap().iter();
            let found = invitations.find(|it| it["email"] == address).unwrap();
            let id = found["message_id"].as_str().unwrap();
            let report = report
                .replace("{to}", &address)
                .replace("{message_id}", id)
                .replace("{invite_id}", &invite_id(id))
                .replace("{envelope_id}", &invite_id(id))
                .replace("report-1@", &format!("report-{partner}@"));
            let name = format!("back-{partner}.eml");
            self.workplace.write(&name, &report);
            files.push(self.workplace.file(&name));
        }
        let files = files.iter().map(|it| it.to_str().unwrap());
        let verb: Vec<_> = ["sync", "--bounces"].into_iter().chain(files).collect();
        self.run(minutes, &verb, &[Exit::Refused]);
    }

    /// Records who has asked for access by now.
    fn access(&self, partners: usize, minutes: i64) {
        Self::set(minutes);
        let config = Config::load(&self.workplace.file("config.toml")).unwrap();
        let start = RunStart {
            verb: "sync",
            campaign: "spring".into(),
            at: clock(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let ledger = Ledger::open(&config.ledger, &start).unwrap();
            let hasher = PersonHasher::new(&ledger.reader().key);
            for package in [LINK, &plans()] {
                let package = package.rsplit('/').next().unwrap();
                let package = PackageId::parse(package).unwrap();
                let asked = (0..partners).filter(|it| it % 7 < 3 && !it.is_multiple_of(5));
                let people = asked.filter_map(|it| {
                    let step = i64::try_from(it).unwrap();
                    let requested = at(DAY + step * 47);
                    let (state, later) = match it % 7 {
                        0 => (AccessState::Granted, 26 * 60),
                        1 if it.is_multiple_of(4) => (AccessState::Denied, 300),
                        1 => (AccessState::Granted, 5 * 60),
                        _ => (AccessState::Requested, 0),
                    };
                    let decided = requested + SignedDuration::from_mins(later);
                    let state = if decided > clock() {
                        AccessState::Requested
                    } else {
                        state
                    };
                    (requested <= clock()).then(|| PersonAccess {
                        person: hasher.of_address(&address(it)),
                        state,
                        at: Some(decided.min(clock())),
                        requested_at: Some(requested),
                    })
                });
                let mut people: Vec<_> = people.collect();
                people.sort_by_key(|it| it.person);
                ledger
                    .record_access(package, &people, clock())
                    .await
                    .unwrap();
            }
            let end = RunEnd {
                at: clock() + SignedDuration::from_secs(9),
                ..RunEnd::default()
            };
            ledger.end_run(end).await.unwrap();
            ledger.close().await.unwrap();
        });
    }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(START + minutes * 60).unwrap()
}

fn plans() -> String {
    LINK.replace("8e1f8f5a", "9e1f8f5a")
}

/// The address of a partner; a tenth of them have an international domain.
fn address(partner: usize) -> String {
    match partner % 10 {
        9 => format!("p{partner}@bücher.example"),
        8 => format!("p{partner}@harbour.example"),
        rest => format!("p{partner}@company{rest}.example"),
    }
}

/// A relay that rejects, defers and breaks off some.
fn relay() -> Server {
    Server::start(|call: &Call| {
        let who = call.recipient.unwrap_or_default();
        let number = who.split('@').next().and_then(|it| it.strip_prefix('p'));
        let number: usize = number.and_then(|it| it.parse().ok()).unwrap_or(1);
        match call.stage {
            Stage::Rcpt if number % 37 == 8 => reply(
                "550 5.1.1 The email account that you tried to reach does not exist. Please check the address for typos",
            ),
            Stage::Rcpt if number % 31 == 14 => {
                reply("451 4.7.1 Greylisted, please try again in a few minutes")
            }
            Stage::Dot if number == 26 || number == 150 => Action::Close,
            _ => Action::Normal,
        }
    })
}

/// Six locales, each with a reminder, and a second package.
fn templates(workplace: &mut Workplace) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let read = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
    std::fs::create_dir_all(workplace.file("words")).unwrap();
    workplace.write("words/layout.html", &read("layout.html"));
    for locale in LOCALES {
        std::fs::create_dir_all(workplace.file(&format!("words/{locale}"))).unwrap();
        for part in ["subject.txt", "txt", "html"] {
            let text = read(&format!("{locale}/invitation.{part}"));
            workplace.write(&format!("words/{locale}/invitation.{part}"), &text);
            let reminder = match part {
                "subject.txt" => format!("{} ({{{{ invited_on }}}})\n", text.trim()),
                _ => text,
            };
            workplace.write(&format!("words/{locale}/reminder.{part}"), &reminder);
        }
    }
    workplace.templates = "words".into();
    let package = format!(
        "[packages.plans]\nlink = \"{}\"\nname = \"Harbour plans\"\ndescription = \"Plans and documents of the harbour project\"\n",
        plans()
    );
    workplace.extra = format!("[reminders]\nafter = \"7d\"\nat_most = 1\n{package}");
    workplace.configure();
}
