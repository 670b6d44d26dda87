//! Programs of npm that this project did not write, on free ports of 127.0.0.1: an issuer of access
//! tokens (`oidc-provider`) and a relay (nodemailer's `smtp-server`). Their scripts are in `tests/npm`.
//!
//! Settings, which contain secrets, are passed in a private file. Dropping a program ends it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::peers::make_private;
use super::scanner::{self, PASSWORD};

/// The certificate and key of a client that authenticates with an assertion.
pub const CLIENT: &str = include_str!("../fixtures/oauth/client.pem");

/// A running program.
pub struct NodeProgram {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl NodeProgram {
    /// Starts a script of `tests/npm` with these settings.
    pub fn start(script: &str, settings: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        make_private(&file);
        let console = std::fs::File::create(folder.path().join("console")).unwrap();
        let process = Command::new("node")
            .args([script.as_ref(), file.as_os_str()])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/npm"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(console)
            .spawn();
        let mut process = process.expect("Node.js is installed");
        let printed = BufReader::new(process.stdout.take().unwrap()).lines();
        // Warnings about the version of Node.js may come before the port.
        let port = printed.map_while(Result::ok).find_map(|it| it.parse().ok());
        let console = || std::fs::read_to_string(folder.path().join("console"));
        let port = port.unwrap_or_else(|| panic!("{script} printed no port: {:?}", console()));
        Self {
            process,
            folder,
            port,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for NodeProgram {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            scanner::scan_family(self.process.id());
            scanner::scan_files(
                self.folder.path(),
                &[&self.folder.path().join("settings.json")],
            );
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Claims and scope of the tokens that `Peers` accept, and the path of the token endpoint.
pub const AUDIENCE: &str = "https://outlook.office365.com";
pub const SCOPE: &str = "https://outlook.office365.com/.default";
pub const ISSUER: &str = "https://issuer.example";
pub const TOKEN_PATH: &str = "/contoso.onmicrosoft.com/oauth2/v2.0/token";

/// An issuer with these clients, as `tests/npm/issuer.mjs` describes them. `key` (PEM) signs its tokens.
pub fn issuer(key: Option<PathBuf>, clients: &[Value]) -> NodeProgram {
    let key = key.map(|it| std::fs::read_to_string(it).unwrap());
    let certificate = &CLIENT[..CLIENT.find("-----BEGIN PRIVATE").unwrap()];
    let settings = json!({
        "path": TOKEN_PATH,
        "scope": SCOPE,
        "audience": AUDIENCE,
        "secret": PASSWORD,
        "certificate": certificate,
        "key": key,
        "clients": clients,
    });
    NodeProgram::start("issuer.mjs", &settings)
}
