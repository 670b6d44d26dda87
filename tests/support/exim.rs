//! Debian's Exim in an overlay of the file system that only this process sees, because its package
//! conflicts with Postfix. Needs root and the right to mount.
//!
//! `ACCESS_INVITE_EXIM` names the folder that its packages were downloaded into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peers::{Daemon, PASSWORD, USER, landed, make_private, open_folder, wait_for_banner};
use super::pki::Pki;
use super::ports::free_ports;

/// The running server. It accepts mail for everybody under `.example` except addresses that start with
/// `gone`; those that start with `grey` are greylisted once.
pub struct Exim {
    folder: tempfile::TempDir,
    /// Its certificate, for `localhost`, comes from here.
    pub pki: Pki,
    ports: BTreeMap<&'static str, u16>,
    daemon: Option<Daemon>,
}

impl Exim {
    pub fn start() -> Self {
        let names = ["STARTTLS", "IMPLICIT", "SMALL", "QUIET"];
        let mut exim = Self {
            folder: open_folder(),
            pki: Pki::new(),
            ports: names.into_iter().zip(free_ports(names.len())).collect(),
            daemon: None,
        };
        exim.configure();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "exim.sh"])
            .arg(exim.folder.path());
        let daemon = Daemon::start(&mut command, exim.folder.path());
        exim.daemon = Some(daemon);
        let console = exim.file("console");
        // The fourth port uses implicit TLS.
        for service in ["STARTTLS", "SMALL", "QUIET"] {
            wait_for_banner(exim.port(service), || {
                let output = std::fs::read_to_string(&console).unwrap_or_default();
                format!("Exim must run in a mount namespace of its own; its output:\n{output}")
            });
        }
        exim
    }

    /// The port of a service in `peers/exim.conf`.
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log/mainlog")).unwrap()
    }

    /// The folder that the mail lands in, as soon as it holds this many messages.
    pub fn mail(&self, count: usize) -> PathBuf {
        landed(self.file("mail/all/new"), count)
    }

    fn configure(&self) {
        let packages = std::env::var_os("ACCESS_INVITE_EXIM")
            .expect("ACCESS_INVITE_EXIM names the folder of Exim's packages; .ci/run sets it");
        for name in ["tls", "mail", "packages"] {
            std::fs::create_dir(self.file(name)).unwrap();
        }
        for package in std::fs::read_dir(packages).unwrap() {
            let path = package.unwrap().path();
            if path.extension().is_some_and(|it| it == "deb") {
                let name = Path::new("packages").join(path.file_name().unwrap());
                std::fs::copy(&path, self.folder.path().join(name)).unwrap();
            }
        }
        let (certificate, key) = self.pki.pem("localhost");
        self.fill("tls/cert.pem", &certificate);
        self.fill("tls/key.pem", &key);
        make_private(&self.file("tls/key.pem"));
        self.fill("exim.sh", include_str!("peers/exim.sh"));
        self.fill("exim.conf", include_str!("peers/exim.conf"));
    }

    /// Writes a file with folder, ports and login filled in.
    fn fill(&self, name: &str, text: &str) {
        let mut text = text.replace("@DIR@", &self.folder.path().to_string_lossy());
        text = text.replace("@USER@", USER).replace("@PASSWORD@", PASSWORD);
        for (service, port) in &self.ports {
            text = text.replace(&format!("@{service}@"), &port.to_string());
        }
        std::fs::write(self.file(name), text).unwrap();
    }
}
