//! What the tests share: a workplace with a job in it, the binary, a relay that does as it
//! is told, and the oracle that holds ledger and relay against each other.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod browser;
pub mod gate;
pub mod mail;
pub mod oracle;
pub mod page;
pub mod peers;
pub mod pki;
pub mod smtp;
pub mod strace;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The link of every message in the tests.
pub const LINK: &str = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

/// A folder with a configuration, partners and an empty ledger.
pub struct Workplace {
    folder: tempfile::TempDir,
    /// Lines for the tables that tests change most.
    pub smtp: String,
    pub limits: String,
    pub retry: String,
    pub extra: String,
}

/// The binary of this build, unless `ACCESS_INVITE_BINARY` names another, such as a release.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("ACCESS_INVITE_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_access-invite").into(), PathBuf::from)
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end; one that was killed has the code -1.
pub fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Workplace {
    /// A job that sends in clear to `port` of this machine, with no limit that bites.
    pub fn new(port: u16) -> Self {
        let workplace = Self {
            folder: tempfile::tempdir().unwrap(),
            smtp: format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"none\""),
            limits: "per_minute = 1000000\nper_day = 1000000\nnew_per_run = 1000000".into(),
            retry: String::new(),
            extra: String::new(),
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

    /// Adds lines to `[smtp]`.
    pub fn smtp(&mut self, lines: &str) {
        self.smtp = format!("{}\n{lines}", self.smtp);
        self.configure();
    }

    /// Writes `config.toml` anew.
    pub fn configure(&self) {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let text = format!(
            "campaign = \"spring\"\n[sender]\nfrom = \"Contoso Access <access@contoso.example>\"\nreply_to = \"desk@contoso.example\"\norganization = \"Contoso\"\n[packages.project]\nlink = \"{LINK}\"\nname = \"Project space\"\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = \"{}\"\n[smtp]\n{}\n[limits]\n{}\n[retry]\n{}\n[ledger]\nfile = \"ledger.sqlite3\"\n{}\n",
            templates.display(),
            self.smtp,
            self.limits,
            self.retry,
            self.extra
        );
        self.write("config.toml", &text);
    }

    /// Writes `partners.csv` with these addresses.
    pub fn partners(&self, addresses: &[&str]) {
        let rows: Vec<_> = addresses.iter().map(|it| format!("{it},Ada,\n")).collect();
        let rows = rows.concat();
        self.write("partners.csv", &format!("email,name,locale\n{rows}"));
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    /// The binary, to be run in the folder with nothing on its terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("ACCESS_INVITE_CONFIG")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        output_of(&mut self.command(arguments))
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

    /// Every file of the folder with its bytes.
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
