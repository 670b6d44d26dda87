//! Real mail servers of Debian, each in its own folder on free ports of 127.0.0.1:
//! Postfix with Dovecot for its logins, and Dovecot's submission server in front of it.
//!
//! Their whole configuration is in `peers/`; nothing under /etc or /var/spool is read or
//! written. Dropping a server stops it with its child processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mail_parser::MessageParser;
use serde_json::{Value, json};

use super::node::{AUDIENCE, ISSUER, NodeProgram, SCOPE, issuer};
use super::pki::Pki;
use super::ports::free_ports;
use super::scanner;

pub use super::scanner::PASSWORD;

/// The login of the servers.
pub const USER: &str = "sender@good.example";

/// Postfix and Dovecot. Every address under `.example` exists except those that start with `gone`.
pub struct Peers {
    folder: tempfile::TempDir,
    /// Both servers' certificates, for `localhost`, come from here.
    pub pki: Pki,
    pub policy: Policy,
    ports: BTreeMap<&'static str, u16>,
    /// Additions to Dovecot's configuration.
    dovecot: [(&'static str, &'static str); 2],
    daemons: Vec<Daemon>,
}

impl Peers {
    pub fn start() -> Self {
        Self::with("plain login xoauth2", "Dovecot (Debian) ready.")
    }

    /// With these login mechanisms, and a Dovecot with this greeting.
    pub fn with(mechanisms: &'static str, greeting: &'static str) -> Self {
        let names = [
            "PLAIN",
            "STARTTLS",
            "IMPLICIT",
            "SMALL",
            "QUIET",
            "SUBMISSION",
            "SUBMISSIONS",
            "IMAPS",
        ];
        let mut peers = Self {
            folder: open_folder(),
            pki: Pki::new(),
            policy: Policy::start(),
            ports: names.into_iter().zip(free_ports(names.len())).collect(),
            dovecot: [("@MECHANISMS@", mechanisms), ("@GREETING@", greeting)],
            daemons: Vec::new(),
        };
        peers.configure();
        let etc = peers.file("etc");
        // Creates the queue folders, which hold Dovecot's socket.
        run(Command::new("postfix").arg("-c").arg(&etc).arg("check"));
        let dovecot = peers.file("dovecot/dovecot.conf");
        peers.start_daemon(
            Command::new("dovecot").arg("-F").arg("-c").arg(dovecot),
            &["SUBMISSION"],
        );
        // A TLS port that is used before Dovecot answers stays throttled for a while.
        peers.start_daemon(
            Command::new("/usr/lib/postfix/sbin/master")
                .arg("-c")
                .arg(etc)
                .arg("-d"),
            &["PLAIN", "STARTTLS", "SMALL"],
        );
        peers
    }

    /// The port of a service in `peers/master.cf` or `peers/dovecot.conf`.
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command for a token that expires after this many seconds.
    pub fn token_command(&self, seconds: u32) -> Vec<String> {
        let path = |name: &str| self.file(name).display().to_string();
        let seconds = seconds.to_string();
        vec![path("token.sh"), path("jwt.key"), USER.into(), seconds]
    }

    /// An issuer whose tokens these servers accept. The clients are as `tests/npm/issuer.mjs` describes
    /// them; their tokens have these claims, unless they have others.
    pub fn issuer(&self, clients: &[Value]) -> NodeProgram {
        let clients: Vec<_> = clients
            .iter()
            .cloned()
            .map(|mut client| {
                let mut claims = json!({"iss": ISSUER, "sub": USER});
                let own = client["claims"].as_object().cloned().unwrap_or_default();
                claims.as_object_mut().unwrap().extend(own);
                client["claims"] = claims;
                client
            })
            .collect();
        issuer(Some(self.file("jwt.key")), &clients)
    }

    /// The log of both servers.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.file(name)).unwrap();
        read("maillog") + &read("dovecot/log")
    }

    /// The folder that the mail lands in, as soon as it holds this many messages.
    pub fn mail(&self, count: usize) -> PathBuf {
        landed(self.file("mail/all/new"), count)
    }

    fn configure(&self) {
        for name in [
            "etc",
            "queue",
            "data",
            "mail",
            "tls",
            "dovecot/home",
            "dovecot/keys/default/RS256",
        ] {
            std::fs::create_dir_all(self.file(name)).unwrap();
        }
        run(Command::new("chown").arg("postfix:").arg(self.file("data")));
        run(Command::new("chown")
            .arg("nobody:nogroup")
            .args([self.file("mail"), self.file("dovecot/home")]));

        let (certificate, key) = self.pki.pem("localhost");
        self.fill("tls/cert.pem", &certificate);
        self.fill("tls/key.pem", &key);
        make_private(&self.file("tls/key.pem"));
        self.fill("etc/main.cf", include_str!("peers/main.cf"));
        self.fill("etc/master.cf", include_str!("peers/master.cf"));
        self.fill("etc/mailboxes", "if !/^gone/\n/./ all/\nendif\n");
        self.fill("dovecot/dovecot.conf", include_str!("peers/dovecot.conf"));
        self.fill("dovecot/oauth2.conf", include_str!("peers/oauth2.conf"));
        self.fill("dovecot/users", &format!("{USER}:{{PLAIN}}{PASSWORD}\n"));

        let private = self.file("jwt.key");
        run(Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-out"])
            .arg(&private));
        run(Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&private)
            .arg("-out")
            .arg(self.file("dovecot/keys/default/RS256/default")));
        scanner::plant_key(&key);
        scanner::plant_key(&std::fs::read_to_string(private).unwrap());
        self.fill("token.sh", include_str!("peers/token.sh"));
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.file("token.sh"), runs).unwrap();
    }

    /// Writes a file with folder and ports filled in.
    fn fill(&self, name: &str, text: &str) {
        let folder = self.folder.path().display().to_string();
        let mut text = text.replace("@DIR@", &folder);
        text = text.replace("@POLICY@", &self.policy.port.to_string());
        let claims = [
            ("@AUDIENCE@", AUDIENCE),
            ("@SCOPE@", SCOPE),
            ("@ISSUER@", ISSUER),
        ];
        for (place, words) in self.dovecot.into_iter().chain(claims) {
            text = text.replace(place, words);
        }
        for (service, port) in &self.ports {
            text = text.replace(&format!("@{service}@"), &port.to_string());
        }
        std::fs::write(self.file(name), text).unwrap();
    }

    fn start_daemon(&mut self, command: &mut Command, answering: &[&str]) {
        self.daemons
            .push(Daemon::start(command, self.folder.path()));
        for service in answering {
            wait_for_banner(self.port(service), String::new);
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for daemon in &self.daemons {
                scanner::scan_family(daemon.id());
            }
            let planted = ["tls/key.pem", "jwt.key", "dovecot/users"].map(|it| self.file(it));
            scanner::scan_files(
                self.folder.path(),
                &planted.each_ref().map(PathBuf::as_path),
            );
        }
        // Postfix before Dovecot, which it depends on.
        while let Some(daemon) = self.daemons.pop() {
            drop(daemon);
        }
    }
}

/// A server process that leads its own process group.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(command: &mut Command, folder: &Path) -> Self {
        let console = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("console"))
            .unwrap();
        let child = command
            .process_group(0)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn();
        Self(child.expect("the server's package is installed"))
    }
}

impl Daemon {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let signal = |name: &str, target: String| {
            let _ = Command::new("kill").args([name, "--", &target]).status();
        };
        let leader = self.0.id();
        signal("-TERM", leader.to_string());
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        signal("-KILL", format!("-{leader}"));
        let _ = self.0.wait();
    }
}

type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A Postfix policy server whose answers the test defines.
pub struct Policy {
    port: u16,
    answer: Arc<Mutex<Answer>>,
}

impl Policy {
    /// One without a policy. Its threads end with the test process.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Arc::new(|_| "DUNNO".into())));
        let shared = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = shared.clone();
                std::thread::spawn(move || converse(stream, &answer));
            }
        });
        Self { port, answer }
    }

    /// Answers each further RCPT with the action that this returns for the address.
    pub fn answers(&self, answer: impl FnMut(&str) -> String + Send + 'static) {
        let answer = Mutex::new(answer);
        self.answers_at_once(move |it| (answer.lock().unwrap())(it));
    }

    /// As [`Policy::answers`], for several connections at the same time.
    pub fn answers_at_once(&self, answer: impl Fn(&str) -> String + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }
}

/// Requests are lines of `name=value` and end with an empty one.
fn converse(mut stream: TcpStream, answer: &Mutex<Answer>) {
    let mut recipient = String::new();
    let reader = BufReader::new(stream.try_clone().unwrap());
    for line in reader.lines().map_while(Result::ok) {
        if let Some(address) = line.strip_prefix("recipient=") {
            address.clone_into(&mut recipient);
        } else if line.is_empty() {
            let answer = answer.lock().unwrap().clone();
            let action = answer(&recipient);
            if write!(stream, "action={action}\n\n").is_err() {
                return;
            }
        }
    }
}

/// A message as a parser reads it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mail {
    pub to: String,
    pub name: String,
    pub subject: String,
    pub id: String,
    pub text: String,
    pub html: String,
}

/// Reads every file of a folder with mail-parser and with Python's `email`; both must read
/// the same, and Python must find no defect.
pub fn read_twice(folder: &Path) -> Vec<Mail> {
    let output = run(Command::new("python3")
        .args(["-c", include_str!("peers/read.py")])
        .arg(folder));
    let read: Vec<Value> = serde_json::from_slice(&output).unwrap();
    let mut by_python: Vec<_> = read.iter().map(from_python).collect();
    let mut by_us: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| by_mail_parser(&std::fs::read(it.unwrap().path()).unwrap()))
        .collect();
    by_python.sort();
    by_us.sort();
    assert_eq!(by_python, by_us);
    by_us
}

/// The recipients of the messages in a folder, to which others may be delivered at the same time.
pub fn recipients(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten();
    files
        .map(|it| by_mail_parser(&std::fs::read(it.unwrap().path()).unwrap()).to)
        .collect()
}

fn from_python(message: &Value) -> Mail {
    assert_eq!(message["defects"], Value::Array(Vec::new()), "{message}");
    let text = |name: &str| message[name].as_str().unwrap().replace("\r\n", "\n");
    Mail {
        to: text("to"),
        name: text("name"),
        subject: text("subject"),
        id: text("id").trim_matches(['<', '>']).to_owned(),
        text: text("text"),
        html: text("html"),
    }
}

fn by_mail_parser(bytes: &[u8]) -> Mail {
    let message = MessageParser::default().parse(bytes).unwrap();
    let to = message.to().and_then(|it| it.first()).unwrap();
    Mail {
        to: to.address().unwrap().to_owned(),
        name: to.name().unwrap_or_default().to_owned(),
        subject: message.subject().unwrap().to_owned(),
        id: message.message_id().unwrap().to_owned(),
        text: message.body_text(0).unwrap().replace("\r\n", "\n"),
        html: message.body_html(0).unwrap().replace("\r\n", "\n"),
    }
}

/// A temporary folder that the servers' users may enter.
pub fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    folder
}

pub fn make_private(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder, as soon as it holds this many messages.
pub fn landed(folder: PathBuf, count: usize) -> PathBuf {
    wait_until(&format!("{count} messages have landed"), || {
        std::fs::read_dir(&folder).is_ok_and(|it| it.count() >= count)
    });
    folder
}

/// Waits for a greeting; without one, panics with the text of `why`.
pub fn wait_for_banner(port: u16, why: impl Fn() -> String) {
    let greeted = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let patience = Some(Duration::from_secs(2));
        stream.set_read_timeout(patience).ok()?;
        let mut start = [0; 4];
        stream.read_exact(&mut start).ok()?;
        let _ = stream.write_all(b"QUIT\r\n");
        (&start == b"220 ").then_some(())
    };
    let end = Instant::now() + Duration::from_mins(1);
    while greeted().is_none() {
        assert!(
            Instant::now() < end,
            "port {port} does not greet. {}",
            why()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < end, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The output of the command.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}
