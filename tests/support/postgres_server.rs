//! A PostgreSQL server of Debian in its own folder, on a free port of 127.0.0.1. It is used by the tests of the
//! library as well, which include this file.
//!
//! A shell waits for the end of this process, however it ends, and then stops the server and removes its folder.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::ports::free_ports;

/// The user of the server, who may do everything.
pub const USER: &str = "invite";
/// Its password, which is not asked for unless a server is set up so.
pub const PASSWORD: &str = "correct horse battery staple";

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How users log in: `trust` or `scram-sha-256`.
    pub authentication: &'static str,
    /// Lines of `postgresql.conf`.
    pub settings: String,
    /// Where its folder is created: in memory, if the system has a place there.
    pub within: PathBuf,
}

impl Default for Setup {
    fn default() -> Self {
        let memory = PathBuf::from("/dev/shm");
        Self {
            authentication: "trust",
            settings: String::new(),
            within: if memory.is_dir() {
                memory
            } else {
                std::env::temp_dir()
            },
        }
    }
}

/// A server. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    port: u16,
    supervisor: Child,
}

/// The folder of PostgreSQL's programs: `ACCESS_INVITE_POSTGRES`, or that of the newest version of Debian's packages.
pub fn programs() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("ACCESS_INVITE_POSTGRES") {
        return Some(folder.into());
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = versions.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.max()?;
    let folder = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
    folder.join("initdb").exists().then_some(folder)
}

impl PostgresServer {
    /// A running server whose logins need no password.
    pub fn start() -> Self {
        Self::set_up(&Setup::default())
    }

    /// A running server.
    pub fn set_up(setup: &Setup) -> Self {
        let server = Self::in_new_folder(&setup.within);
        let password = server.file("password");
        std::fs::write(&password, PASSWORD).unwrap();
        give_to_server(&password);
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D",
                text(&data),
                "-U",
                USER,
                "--pwfile",
                text(&password),
                "--auth",
                setup.authentication,
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        server.configure(&setup.settings);
        server.start_again();
        server
    }

    /// A running standby of this server, under this name in `synchronous_standby_names`.
    pub fn standby(&self, name: &str) -> Self {
        let within = self.folder.parent().expect("it is within a folder");
        let standby = Self::in_new_folder(within);
        let from = format!(
            "host=127.0.0.1 port={} user={USER} password='{PASSWORD}' application_name={name}",
            self.port
        );
        let data = standby.data();
        let copy = [
            "-D",
            text(&data),
            "-d",
            &from,
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ];
        standby.run("pg_basebackup", &copy);
        standby.configure("");
        standby.start_again();
        standby
    }

    fn in_new_folder(within: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("access-invite-postgres-")
            .tempdir_in(within)
            .unwrap()
            .keep();
        give_to_server(&folder);
        let data = folder.join("data");
        let stop = as_server(
            &program("pg_ctl"),
            &["-D", text(&data), "-m", "immediate", "stop"],
        );
        // Its standard input ends with this process, or when the server is dropped.
        let supervisor = Command::new("sh")
            .args([
                "-c",
                "read -r _; folder=$1; shift; \"$@\"; rm -rf -- \"$folder\"",
                "sh",
            ])
            .arg(&folder)
            .arg(stop.get_program())
            .args(stop.get_args())
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            folder,
            port: free_ports(1)[0],
            supervisor,
        }
    }

    /// Adds lines to its configuration. The last one about a setting counts.
    pub fn configure(&self, settings: &str) {
        let file = self.data().join("postgresql.conf");
        let mut lines = std::fs::read_to_string(&file).unwrap();
        let ours = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nshared_buffers = '32MB'\nmax_wal_size = '256MB'\nlogging_collector = off",
            self.port,
            text(&self.folder)
        );
        for part in [&ours, settings] {
            lines.push('\n');
            lines.push_str(part);
        }
        lines.push('\n');
        std::fs::write(file, lines).unwrap();
    }

    /// Makes it read its configuration again.
    pub fn reload(&self) {
        self.control(&["reload"]);
    }

    /// The URL of a database for [`USER`], without a password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, with the socket, the `log` and the `data`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of its databases and its configuration.
    pub fn data(&self) -> PathBuf {
        self.file("data")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Creates an empty database.
    pub fn create_database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    }

    /// Runs statements as [`USER`]; gives the values of the rows, one row a line, separated by `|`.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let port = self.port.to_string();
        let output = self.run(
            "psql",
            &[
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                text(&self.folder),
                "-p",
                &port,
                "-U",
                USER,
                "-d",
                database,
                "-c",
                statements,
            ],
        );
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    /// Stops it; open connections are ended.
    pub fn stop(&self) {
        self.control(&["-m", "fast", "-w", "stop"]);
    }

    /// Stops it as a crash does: nothing is written any more.
    pub fn kill(&self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }

    /// Starts it after it was stopped.
    pub fn start_again(&self) {
        let log = self.file("log");
        self.control(&["-l", text(&log), "-w", "start"]);
    }

    /// Stops it and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Makes a standby a server of its own.
    pub fn promote(&self) {
        self.control(&["-w", "promote"]);
    }

    fn control(&self, arguments: &[&str]) {
        let data = self.data();
        let mut all = vec!["-D", text(&data)];
        all.extend(arguments);
        self.run("pg_ctl", &all);
    }

    /// Runs one of PostgreSQL's programs as the user of the server; it must succeed.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        // The server inherits the outputs of `pg_ctl`, so that a pipe would not end. Each call has files of its own,
        // because several tests run programs at once.
        let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let status = as_server(&program(name), arguments)
            .env("HOME", &self.folder)
            .env("LC_ALL", "C.UTF-8")
            .env("PGPASSWORD", PASSWORD)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .status()
            .unwrap();
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let output = Output {
            status,
            stdout: read(&mut stdout),
            stderr: read(&mut stderr),
        };
        assert!(
            status.success(),
            "{name} {arguments:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        output
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

fn program(name: &str) -> PathBuf {
    let folder = programs().expect("PostgreSQL is installed (Debian: postgresql)");
    folder.join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("its name is UTF-8")
}

/// Whether this process is root's, as whom the server refuses to run.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as the user of the server.
fn as_server(program: &Path, arguments: &[&str]) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
            .arg(program);
    } else {
        command = Command::new(program);
    }
    command.args(arguments);
    command
}

/// Makes a file or folder that of the user of the server.
fn give_to_server(path: &Path) {
    if is_root() {
        let status = Command::new("chown")
            .arg("nobody:nogroup")
            .arg(path)
            .status();
        assert!(status.unwrap().success());
    }
}

/// It is stopped and its folder removed.
#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_server_leaves_nothing_behind() {
    let server = PostgresServer::start();
    server.create_database("first");
    server.sql("first", "CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    server.kill();
    server.start_again();
    assert_eq!(server.sql("first", "SELECT a, 'x' FROM t"), "7|x");
    let standby = server.standby("other");
    server.stop();
    standby.promote();
    assert_eq!(standby.sql("first", "SELECT count(*) FROM t"), "1");
    let left = [&server, &standby].map(|it| (it.folder().to_owned(), it.port()));
    drop((server, standby));
    for (folder, port) in left {
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
