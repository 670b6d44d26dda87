//! Shared by the tests: a workplace with a job, the binary, a scripted relay, and the oracle
//! that compares ledger and relay.

#![allow(
    dead_code,
    reason = "a module may be used by tests that are not built everywhere"
)]

pub mod browser;
pub mod chance;
pub mod debian;
pub mod disk;
pub mod dns;
pub mod exchange;
pub mod exim;
pub mod graph;
pub mod held;
pub mod mail;
pub mod node;
pub mod oracle;
pub mod page;
pub mod parallel;
pub mod peers;
pub mod pki;
pub mod ports;
pub mod postgres_server;
pub mod scanner;
pub mod sheet;
pub mod showcase;
pub mod smtp;
pub mod spamassassin;
pub mod story;
pub mod tcp_relay;
pub mod terminal;
pub mod tinyproxy;
pub mod token_endpoint;
pub mod traces;

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::scanner::ProcessWatch;

/// The link of every message in the tests.
pub const LINK: &str = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

/// A verb that opens the ledger for writing, which upgrades, recovers and checkpoints it, and then
/// changes nothing (65).
pub const OPEN: [&str; 6] = [
    "resolve",
    "nobody@a.example",
    "--as",
    "abandoned",
    "--note",
    "x",
];

/// `[ledger]` with a ledger in the folder.
const FILE: &str = "file = \"ledger.sqlite3\"";

/// A folder with a configuration, partners and an empty ledger.
pub struct Workplace {
    folder: tempfile::TempDir,
    /// Lines for the tables that tests change most.
    pub smtp: String,
    pub limits: String,
    pub retry: String,
    pub extra: String,
    /// The lines of `[ledger]`.
    pub ledger: String,
    pub templates: PathBuf,
    /// Files written by the test, which may contain secrets.
    planted: Mutex<Vec<PathBuf>>,
}

/// The binary of this build, unless `ACCESS_INVITE_BINARY` names another, such as a release.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("ACCESS_INVITE_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_access-invite").into(), PathBuf::from)
}

/// A configuration with these lines under `[sender]`, `[packages.project]` and `[smtp]`.
fn configuration(
    sender: &str,
    package: &str,
    templates: &Path,
    smtp: &str,
    ledger: &str,
) -> String {
    // A JSON string is a TOML string.
    let templates = serde_json::to_string(templates).unwrap();
    format!(
        "campaign = \"spring\"\n[sender]\n{sender}\n[packages.project]\nlink = \"{LINK}\"\n{package}\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = {templates}\n[smtp]\n{smtp}\n[ledger]\n{ledger}\n"
    )
}

/// A folder in memory, if the system has one.
pub fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The result of a run of the binary.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end and scans its output; the code of a killed one is -1.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let mut watch = ProcessWatch::start(child.id(), command);
    let output = Output::of(child.wait_with_output().unwrap());
    no_fault(watch.stop());
    output
}

/// Runs the verb without root's exemption from permissions.
pub fn without_privileges(workplace: &Workplace, verb: &[&str]) -> Output {
    let probe = workplace.file("probe");
    std::fs::write(&probe, "").unwrap();
    std::fs::set_permissions(&probe, std::fs::Permissions::from_mode(0o400)).unwrap();
    let privileged = std::fs::OpenOptions::new()
        .append(true)
        .open(&probe)
        .is_ok();
    std::fs::remove_file(&probe).unwrap();
    if !privileged {
        return workplace.run(verb);
    }
    let dropped = "-dac_override,-dac_read_search";
    let setpriv = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped];
    workplace.run_under(&setpriv, verb)
}

/// Fails the test if the watch of a run found something.
#[track_caller]
fn no_fault(found: Option<String>) {
    if let Some(fault) = found {
        panic!("{fault}");
    }
}

impl Workplace {
    /// A job that sends without TLS to `port` of this machine, with very high limits. Its folder is in memory, if
    /// the system has one there, because the tests would wait mostly for the disk.
    pub fn new(port: u16) -> Self {
        Self::new_in(folder_in_memory(), port, FILE)
    }

    /// As [`Workplace::new`], with the shipped templates of one locale only, for a job whose partners have no locale:
    /// checking those of all locales is most of the work of a run.
    pub fn english(port: u16) -> Self {
        let mut workplace = Self::new(port);
        let english = "tests/fixtures/templates-en";
        workplace.templates = Path::new(env!("CARGO_MANIFEST_DIR")).join(english);
        workplace.configure();
        workplace
    }

    /// The same in a folder on a disk, for tests about the disk.
    pub fn on_disk(port: u16) -> Self {
        Self::new_in(tempfile::tempdir().unwrap(), port, FILE)
    }

    /// As [`Workplace::new`], with these lines under `[ledger]`.
    pub fn with_ledger(port: u16, ledger: &str) -> Self {
        Self::new_in(folder_in_memory(), port, ledger)
    }

    fn new_in(folder: tempfile::TempDir, port: u16, ledger: &str) -> Self {
        let workplace = Self {
            folder,
            smtp: format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"none\""),
            limits: "per_minute = 1000000\nper_day = 1000000\nnew_per_run = 1000000".into(),
            retry: String::new(),
            extra: String::new(),
            ledger: ledger.into(),
            templates: Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"),
            planted: Mutex::default(),
        };
        workplace.configure();
        workplace.partners(&[]);
        assert_eq!(workplace.run(&["init", "."]).code, 0);
        workplace
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Makes the job log in over TLS at `localhost`, with these lines under `[smtp]`.
    pub fn log_in(&mut self, port: u16, ca_pem: &str, lines: &str) {
        self.write("ca.pem", ca_pem);
        self.write("password", &format!("{}\n", scanner::PASSWORD));
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.file("password"), private).unwrap();
        self.smtp = format!(
            "host = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\nusername = \"ada\"\npassword_file = \"password\"\n{lines}"
        );
        self.configure();
    }

    /// One locale with short templates, for a job whose text does not matter.
    pub fn short_templates(&mut self) {
        let button = r#"<a class="button" href="{{ link }}">here</a> <p>{{ link }}</p>"#;
        self.words("Hello {{ partner.name }},\n\n{{ link }}\n", button);
    }

    /// One locale with this text and this HTML.
    pub fn words(&mut self, text: &str, html: &str) {
        std::fs::create_dir_all(self.file("words/en")).unwrap();
        self.write("words/en/invitation.subject.txt", "Invitation\n");
        self.write("words/en/invitation.txt", text);
        self.write("words/en/invitation.html", html);
        self.templates = "words".into();
        self.configure();
    }

    /// Adds lines to `[smtp]`.
    pub fn smtp(&mut self, lines: &str) {
        self.smtp = format!("{}\n{lines}", self.smtp);
        self.configure();
    }

    /// Writes `config.toml`.
    pub fn configure(&self) {
        let text = configuration(
            "from = \"Contoso Access <access@contoso.example>\"\nreply_to = \"desk@contoso.example\"\norganization = \"Contoso\"",
            "name = \"Project space\"",
            &self.templates,
            &self.smtp,
            &self.ledger,
        );
        let text = format!(
            "{text}[limits]\n{}\n[retry]\n{}\n{}\n{}",
            self.limits,
            self.retry,
            self.extra,
            scanner::COMMENT
        );
        self.write("config.toml", &text);
    }

    /// Writes `partners.csv` with these addresses.
    pub fn partners(&self, addresses: &[&str]) {
        let rows: Vec<_> = addresses.iter().map(|it| format!("{it},Ada,\n")).collect();
        let rows = rows.concat();
        self.write("partners.csv", &format!("email,name,locale\n{rows}"));
    }

    /// Writes `partners.csv` with this many addresses, at five domains.
    pub fn many_partners(&self, partners: usize) {
        let addresses: Vec<_> = (0..partners)
            .map(|it| format!("p{it}@a{}.example", it % 5))
            .collect();
        self.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
        self.planted.lock().unwrap().push(self.file(name));
    }

    /// The binary, to run in the folder with empty stdin.
    fn command(&self, arguments: &[&str]) -> Command {
        self.prepare(Command::new(binary()), arguments)
    }

    fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("ACCESS_INVITE_CONFIG")
            .env_remove("COLUMNS")
            .env("TZ", "UTC")
            .envs(scanner::ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, |_| {})
    }

    /// As [`Workplace::run`], with a change to the command.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Output {
        let mut command = self.command(arguments);
        change(&mut command);
        output_of(&mut command)
    }

    /// As [`Workplace::run`], as the child of another program, such as strace.
    #[track_caller]
    pub fn run_under(&self, program: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(binary());
        output_of(&mut self.prepare(command, arguments))
    }

    /// Starts a run that is waited for or killed later. Signals that the caller of the tests ignores,
    /// as under `nohup`, have their default action in it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, |_| {})
    }

    /// As [`Workplace::start`], with a change to the command.
    pub fn start_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Running {
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut env = Command::new("env");
        env.arg("--default-signal=HUP,INT,QUIT,TERM").arg(binary());
        let mut command = self.prepare(env, arguments);
        command.stdout(stdout.try_clone().unwrap());
        command.stderr(stderr.try_clone().unwrap());
        change(&mut command);
        let child = command.spawn().unwrap();
        Running {
            watch: ProcessWatch::start(child.id(), &command),
            child,
            stdout,
            stderr,
        }
    }

    /// Runs `send` and returns its result, its duration and its peak memory in KiB.
    #[track_caller]
    pub fn send_watched(&self) -> (Output, Duration, u64) {
        let start = Instant::now();
        let mut run = self.start(&["send"]);
        let mut highest = 0;
        while run.is_running() {
            highest = highest.max(run.peak().unwrap_or_default());
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = start.elapsed();
        (run.wait(), took, highest)
    }

    /// Fails the test unless every recorded invitation has this state.
    #[track_caller]
    pub fn all_are(&self, state: &str) {
        let states = self.states();
        assert!(states.iter().all(|(_, it)| it == state), "{states:?}");
    }

    /// `status --format json`, read.
    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--format", "json"]);
        assert_eq!(output.code, 0, "{output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Address and state of every recorded invitation.
    pub fn states(&self) -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        self.status()["invitations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (text(&it["email"]), text(&it["state"])))
            .collect()
    }

    /// The state of the only invitation.
    pub fn state(&self) -> String {
        let states = self.states();
        assert_eq!(states.len(), 1, "{states:?}");
        states[0].1.clone()
    }

    /// Every file of the folder with its content.
    pub fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let planted = self.planted.lock().unwrap();
            let planted: Vec<&Path> = planted.iter().map(PathBuf::as_path).collect();
            scanner::scan_files(self.path(), &planted);
        }
    }
}

impl Output {
    /// The output of a run; the scanner fails the test if it contains anything forbidden.
    #[track_caller]
    pub fn of(ended: std::process::Output) -> Self {
        let output = Self {
            code: ended.status.code().unwrap_or(-1),
            stdout: String::from_utf8(ended.stdout).unwrap(),
            stderr: String::from_utf8(ended.stderr).unwrap(),
        };
        scanner::scan("stdout", &output.stdout);
        scanner::scan("stderr", &output.stderr);
        output
    }
}

/// A run in progress.
pub struct Running {
    child: Child,
    watch: ProcessWatch,
    stdout: File,
    stderr: File,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its peak memory so far, in KiB; `None` once it has ended.
    pub fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Its stdout so far.
    pub fn written(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.stdout.metadata().unwrap().len()).unwrap()];
        self.stdout.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let status = self.child.wait().unwrap();
        no_fault(self.watch.stop());
        let written = |file: &File| {
            let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        Output::of(std::process::Output {
            status,
            stdout: written(&self.stdout),
            stderr: written(&self.stderr),
        })
    }

    /// Ends it with SIGKILL.
    #[track_caller]
    pub fn kill(mut self) -> Output {
        let _ = self.child.kill();
        self.wait()
    }
}

impl Drop for Running {
    /// Ends the run if the test fails.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
