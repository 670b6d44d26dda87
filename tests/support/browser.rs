//! Headless Chromium, driven by the scripts of `tests/browser/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The result of a script of `tests/browser/`.
#[derive(Debug, serde::Deserialize)]
pub struct Report {
    /// How many views it opened.
    pub looked: usize,
    /// Faults, each a sentence that begins with the name of the view.
    pub problems: Vec<String>,
}

/// Runs a script on a folder that the test has prepared.
///
/// Pictures go where `ACCESS_INVITE_SCREENSHOTS` points, if it is set.
pub fn look(script: &str, folder: &Path) -> Report {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let installed = scripts.join("node_modules/playwright-core");
    assert!(
        installed.exists(),
        "the browser's driver is missing; `.ci/run` installs it, as does `npm install --no-save --no-package-lock` in {}",
        scripts.display()
    );
    // Chromium writes into the home folder and leaves temporary folders.
    let home = tempfile::tempdir().unwrap();
    let mut node = Command::new("node");
    node.arg(scripts.join(script))
        .arg(folder)
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_CACHE_HOME")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(pictures) = std::env::var_os("ACCESS_INVITE_SCREENSHOTS") {
        let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(pictures);
        node.env("ACCESS_INVITE_SCREENSHOTS", pictures);
    }
    let output = node
        .output()
        .expect("`node` cannot be run; install Debian's nodejs, as `.ci/run` does");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{script} failed (see its output above): {stdout}"
    );
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}
