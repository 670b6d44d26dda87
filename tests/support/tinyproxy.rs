//! Debian's tinyproxy on a free port of 127.0.0.1, with a hosts file of its own, so that no name is looked up
//! anywhere else.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peers::{Daemon, open_folder, wait_until};
use super::ports::free_ports;
use super::scanner;

/// The running proxy. It refuses connections to `blocked.example`.
pub struct Tinyproxy {
    folder: tempfile::TempDir,
    port: u16,
    daemon: Daemon,
}

impl Tinyproxy {
    /// One that requires this name and password, if any. `hosts` are the lines of its hosts file.
    pub fn start(login: Option<(&str, &str)>, hosts: &str) -> Self {
        let folder = open_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let port = free_ports(1)[0];
        let login = login.map_or_else(String::new, |(name, word)| {
            format!("BasicAuth {name} {word}\n")
        });
        let configuration = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 30\nMaxClients 20\nLogLevel Connect\nLogFile \"{}\"\nFilter \"{}\"\n{login}",
            path("log"),
            path("filter")
        );
        for (name, text) in [
            ("tinyproxy.conf", configuration.as_str()),
            ("filter", "^blocked\\.example$\n"),
            ("hosts", hosts),
            ("log", ""),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let shell = with_hosts(&folder.path().join("hosts"));
        let mut command = Command::new(&shell[0]);
        command
            .args(&shell[1..])
            .args(["tinyproxy", "-d", "-c"])
            .arg(path("tinyproxy.conf"));
        let daemon = Daemon::start(&mut command, folder.path());
        wait_until("tinyproxy listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            folder,
            port,
            daemon,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A program and its first arguments, which run the others with the same hosts file.
    pub fn shell(&self) -> Vec<String> {
        with_hosts(&self.file("hosts"))
    }

    /// How many connections to this host and port were requested.
    pub fn connects(&self, target: &str) -> usize {
        let log = std::fs::read_to_string(self.file("log")).unwrap();
        log.matches(&format!("CONNECT {target} HTTP/1")).count()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            scanner::scan_family(self.daemon.id());
            scanner::scan_files(self.folder.path(), &[&self.file("tinyproxy.conf")]);
        }
    }
}

/// Runs a command in a mount namespace of its own, in which this is the hosts file.
fn with_hosts(hosts: &Path) -> Vec<String> {
    let mount = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let hosts = hosts.display().to_string();
    [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        mount,
        "sh",
        &hosts,
    ]
    .map(str::to_owned)
    .to_vec()
}
