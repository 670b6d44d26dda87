//! A whole job of the release binary for the benchmarks: its folder, its list, the relay, and what a run takes.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "used by several drivers, which report to a terminal"
)]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The resources that one process used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    pub wall: f64,
    /// User and system time, in seconds.
    pub cpu: f64,
    /// Peak resident memory, in MiB.
    pub peak: f64,
    /// The delivery phase in seconds, if there is a ledger.
    pub phase: f64,
}

/// A job with its own ledger, in a temporary folder.
pub struct Job {
    pub folder: tempfile::TempDir,
    pub messages: usize,
    pub connections: usize,
}

impl Job {
    /// With a ledger in its folder.
    pub fn new(messages: usize, connections: usize, port: u16, smtp: &str) -> Self {
        Self::with_ledger(
            messages,
            connections,
            port,
            smtp,
            "file = \"ledger.sqlite3\"",
        )
    }

    /// With these lines under `[ledger]`.
    pub fn with_ledger(
        messages: usize,
        connections: usize,
        port: u16,
        smtp: &str,
        ledger: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let config = format!(
            "campaign = \"bench\"\n[sender]\nfrom = \"Contoso Partner Access <access@contoso.example>\"\nreply_to = \"Partner Desk <desk@contoso.example>\"\norganization = \"Contoso\"\ncontact = \"Contoso Partner Desk, +33 1 23 45 67 89\"\n[packages.project]\nlink = \"https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11\"\nname = \"Project space\"\ndescription = \"Plans and documents of the harbour project\"\njustification = \"Work on the harbour project\"\nrespond_by = 2099-12-31\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = \"{}\"\n[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = {connections}\n{smtp}\n[limits]\nper_minute = 1000000\nper_day = 100000000\nnew_per_run = 100000000\n[ledger]\n{ledger}\n",
            templates.display(),
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut rows = std::io::BufWriter::new(
            std::fs::File::create(folder.path().join("partners.csv")).unwrap(),
        );
        writeln!(rows, "email,name,organization,locale").unwrap();
        for row in 0..messages {
            let locale = ["en", "fr", "de", "es"][row % 4];
            let company = row % 997;
            writeln!(
                rows,
                "partner{row}@company{company}.example,Ada Partner {row},Company {company},{locale}"
            )
            .unwrap();
        }
        rows.flush().unwrap();
        Self {
            folder,
            messages,
            connections,
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("ACCESS_INVITE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Replaces the ledger with an empty one.
    pub fn reset(&self) {
        // The witness would say that there was a ledger.
        for name in ["ledger.sqlite3", "ledger.sqlite3.witness"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
        assert!(self.command(&["init", "."]).status().unwrap().success());
    }

    /// Sends everything, from an empty ledger.
    pub fn send(&self) -> Took {
        self.reset();
        let took = run(&mut self.command(&["send"]));
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.sqlite3")).unwrap();
        let (first, last, accepted): (i64, i64, i64) = ledger
            .query_row(
                "SELECT min(at) FILTER (WHERE to_state = 'armed'),
                    max(at) FILTER (WHERE to_state = 'accepted'),
                    count(*) FILTER (WHERE to_state = 'accepted') FROM history",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        let accepted = usize::try_from(accepted).unwrap();
        assert_eq!(accepted, self.messages, "not everything was accepted");
        Took {
            phase: (last - first) as f64 / 1_000.0,
            ..took
        }
    }

    /// Fills the ledger as if everybody had been invited.
    pub fn pretend_accepted(&self) {
        self.reset();
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.sqlite3")).unwrap();
        let invited = ledger.execute(
            "WITH RECURSIVE partner (n) AS (
                SELECT 0 UNION ALL SELECT n + 1 FROM partner WHERE n + 1 < ?1
             ), invitee AS (
                SELECT n, 'partner' || n || '@company' || (n % 997) || '.example' AS address FROM partner
             )
             INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
                template_locale, state, generation, message_id, attempts, deferrals, repeat,
                created_at, updated_at, room)
             SELECT 'bench', '8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11', address, 'invitation',
                'project', address, 'en', 'accepted', 0, n || '@contoso.example', 1, 0, 0, 0, 0, x''
             FROM invitee",
            [i64::try_from(self.messages).unwrap()],
        );
        assert_eq!(invited.unwrap(), self.messages);
    }

    /// The average size of the first messages, for `smtp-source`.
    pub fn message_size(&self) -> usize {
        let arguments = ["preview", "--limit", "4", "--out", "sizes"];
        assert!(self.command(&arguments).status().unwrap().success());
        let messages = self.folder.path().join("sizes/messages");
        let sizes = std::fs::read_dir(messages).unwrap().filter_map(|it| {
            let path = it.unwrap().path();
            let message = path.extension().is_some_and(|it| it == "eml");
            message.then(|| usize::try_from(path.metadata().unwrap().len()).unwrap())
        });
        let sizes: Vec<usize> = sizes.collect();
        sizes.iter().sum::<usize>() / sizes.len()
    }
}

/// Postfix's `smtp-sink` on a free port, until it is dropped.
pub struct Sink {
    pub child: Child,
    pub port: u16,
}

impl Sink {
    pub fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(tool("smtp-sink"));
        if std::fs::metadata("/proc/self")
            .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
        {
            command.args(["-u", "postfix"]);
        }
        let child = command
            .args(["-m", "400", &format!("127.0.0.1:{port}"), "1000"])
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "smtp-sink does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and measures it.
pub fn run(command: &mut Command) -> Took {
    let before = children_cpu();
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(peak_of(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{command:?}: {status}");
    Took {
        wall: start.elapsed().as_secs_f64(),
        cpu: children_cpu() - before,
        peak,
        phase: 0.0,
    }
}

fn peak_of(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|it| it.starts_with("VmHWM:"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|it| it.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

/// User and system time of all children that have been waited for, in seconds (proc(5): fields 16 and 17, in
/// hundredths).
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> = behind_name
        .split_whitespace()
        .filter_map(|it| it.parse().ok())
        .collect();
    // The state, a letter, is skipped: field 4 of proc(5) comes first.
    (fields[12] + fields[13]) / 100.0
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn binary() -> PathBuf {
    let named = std::env::var_os("ACCESS_INVITE_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_access-invite").into(), PathBuf::from)
}

/// The path of Debian's package, otherwise the bare name.
pub fn tool(name: &str) -> PathBuf {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.exists() { debian } else { name.into() }
}

pub fn is_there(name: &str) -> bool {
    tool(name).is_absolute()
        || std::env::var_os("PATH")
            .is_some_and(|it| std::env::split_paths(&it).any(|it| it.join(name).exists()))
}

pub fn number(variable: &str, usual: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.and_then(|it| it.parse().ok()).unwrap_or(usual)
}
