//! Scans all output for what it must never contain: a planted secret in any of its forms, a token, an
//! assertion or a private key, control sequences for a terminal, and names of Rust types.
//!
//! Every run of the binary is scanned: its output, the files that it leaves, and in `/proc` the arguments and the
//! environment of its process and of those that it starts. So are the servers of the tests.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The password of every login in the tests.
pub const PASSWORD: &str = "h4nter2-correct-horse-batt3ry";
/// The access token of every login in the tests that does not make its own.
pub const TOKEN: &str = "t0ken-f0r-4da-tr0ub4dor-and-3";
/// A token that the relay refuses.
pub const STALE_TOKEN: &str = "exp1red-t0ken-0f-a-day-l0ng-gone";
/// What the login with any access token contains.
const LOGIN: &str = "auth=Bearer ";
/// A secret that no run reads.
const BYSTANDER: &str = "n0t-any-0f-y0ur-busin3ss-s3cret";

/// The environment of every run.
pub const ENVIRONMENT: [(&str, &str); 2] = [("SMTP_PASSWORD", BYSTANDER), ("API_KEY", TOKEN)];
/// A comment in the configuration of every run.
pub const COMMENT: &str = "# password = \"n0t-any-0f-y0ur-busin3ss-s3cret\"\n";

/// The number of consecutive letters of a secret that count as a leak.
const TELLING: usize = 10;

/// The first forbidden part of an output; `None` if there is none.
pub fn fault_in(output: &str) -> Option<String> {
    secret_in(output.as_bytes())
        .or_else(|| command_in(output))
        .or_else(|| jargon_in(output))
}

/// A secret, and a piece of one of its forms.
type Piece = (&'static str, Vec<u8>);

/// Every form of every secret, cut into pieces.
fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for secret in [PASSWORD, TOKEN, STALE_TOKEN, BYSTANDER, LOGIN] {
        let mut forms = vec![secret.to_owned(), secret.chars().rev().collect()];
        let hexadecimal: Vec<_> = secret.bytes().map(|it| format!("{it:02x}")).collect();
        let decimal: Vec<_> = secret.bytes().map(|it| it.to_string()).collect();
        forms.extend([hexadecimal.concat(), decimal.join(", ")]);
        // Base64 depends on the position of the secret within a group of three bytes.
        for before in 0..3 {
            let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
            for encoded in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                let encoded = encoded.trim_end_matches('=');
                forms.push(encoded[(before * 4).div_ceil(3)..encoded.len() - 1].to_owned());
            }
        }
        for form in forms {
            let whole = form.as_bytes().chunks_exact(TELLING);
            pieces.extend(whole.map(|it| (secret, it.to_vec())));
        }
    }
    pieces
}

/// A private key of the tests' clients, and those that tests made for their servers.
static KEYS: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| {
    let client = include_str!("../fixtures/oauth/client.pem");
    Mutex::new(vec![secret_part(client)])
});

/// Makes the private key in a file (PEM) one that no output may contain.
pub fn plant_key(pem: &str) {
    KEYS.lock().unwrap().push(secret_part(pem));
}

/// A piece of the second half of a private key, which its certificate does not contain.
fn secret_part(pem: &str) -> String {
    let key = pem.split("PRIVATE KEY-----").nth(1).expect("it is a key");
    let lines: Vec<_> = key.lines().filter(|it| it.len() >= 32).collect();
    lines[lines.len() / 2][..32].to_owned()
}

/// The pieces by their first two bytes, for a fast scan.
static PIECES: LazyLock<HashMap<[u8; 2], Vec<Piece>>> = LazyLock::new(|| {
    let mut by_beginning: HashMap<_, Vec<_>> = HashMap::new();
    for (secret, piece) in pieces() {
        let beginning = [piece[0], piece[1]];
        by_beginning
            .entry(beginning)
            .or_default()
            .push((secret, piece));
    }
    by_beginning
});

/// The secret whose piece starts here.
pub fn secret_in(bytes: &[u8]) -> Option<String> {
    let mut beginnings = vec![false; 1 << 16];
    for [first, second] in PIECES.keys() {
        beginnings[usize::from(*first) << 8 | usize::from(*second)] = true;
    }
    let found = bytes.windows(2).enumerate().find_map(|(at, pair)| {
        if !beginnings[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
            return None;
        }
        let pieces = PIECES.get(pair)?;
        let found = pieces.iter().find(|(_, it)| bytes[at..].starts_with(it));
        found.map(|(secret, _)| *secret)
    });
    found
        .map(|secret| format!("contains a part of the secret {secret}"))
        .or_else(|| {
            let text = String::from_utf8_lossy(bytes);
            if let Some(token) = token_in(&text) {
                return Some(format!("contains the token or assertion {token}"));
            }
            let keys = KEYS.lock().unwrap();
            let is_key = text.contains("PRIVATE KEY-----")
                || keys.iter().any(|it| text.contains(it.as_str()));
            is_key.then(|| "contains a private key".to_owned())
        })
}

/// A JSON Web Token or the beginning of one: a header with `alg`, `typ`, `kid` or `x5t`, in base64.
fn token_in(text: &str) -> Option<&str> {
    const HEADERS: [&str; 4] = ["eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJ4NXQ"];
    let mut words = text.split(|it: char| !(it.is_alphanumeric() || "-_.".contains(it)));
    words.find(|word| {
        HEADERS.iter().any(|it| word.contains(it))
            || (word.starts_with("eyJ") && word.matches('.').count() == 2)
    })
}

/// Characters that a terminal executes, or shows in another place.
fn command_in(output: &str) -> Option<String> {
    let obeyed = |it: char| {
        (it.is_control() && !matches!(it, '\n' | '\t'))
            || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found = output.chars().find(|it| obeyed(*it));
    found.map(|it| format!("contains the character U+{:04X}", u32::from(it)))
}

/// Words of Rust and of its libraries.
fn jargon_in(output: &str) -> Option<String> {
    const NEVER: [&str; 16] = [
        "Some(",
        "None,",
        "None)",
        "Ok(",
        "Err(",
        "unwrap",
        "called `",
        "panicked",
        "BACKTRACE",
        ".rs:",
        "thread '",
        "os error",
        "kind: ",
        "Custom {",
        "&str",
        "dyn ",
    ];
    if let Some(found) = NEVER.iter().find(|it| output.contains(**it)) {
        return Some(format!("it contains `{found}`"));
    }
    let inside = |it: char| it.is_alphanumeric() || it == '_' || it == ':';
    let mut rest = output;
    while let Some(start) = rest.find(inside) {
        rest = &rest[start..];
        let end = rest.find(|it| !inside(it)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let path = word.split_once("::").is_some_and(|(left, right)| {
            left.ends_with(char::is_alphabetic) && right.starts_with(char::is_alphabetic)
        });
        let letters = word.trim_end_matches(|it: char| !it.is_alphanumeric());
        let type_name = is_camel_case(letters)
            && (letters.ends_with("Error") || after.starts_with('(') || after.starts_with(" {"));
        if path || type_name {
            return Some(format!("it contains `{word}`"));
        }
    }
    None
}

/// `Utf8Error`, but neither `Error` nor `CSV`.
fn is_camel_case(word: &str) -> bool {
    let capital = |it: &(usize, char)| it.1.is_ascii_uppercase();
    word.starts_with(|it: char| it.is_ascii_uppercase())
        && word.char_indices().filter(capital).count() > 1
        && word.contains(|it: char| it.is_ascii_lowercase())
        && !word.contains(['_', ':'])
}

/// Fails the test if the text contains anything forbidden.
#[track_caller]
pub fn scan(of: &str, output: &str) {
    if let Some(fault) = fault_in(output) {
        panic!("{of} must not be shown to anybody, {fault}:\n{output}");
    }
}

/// Scans the files of a folder except for `planted`, which may contain secrets.
#[track_caller]
pub fn scan_files(folder: &Path, planted: &[&Path]) {
    /// A longer file is the list of a test about long lists.
    const LONGEST: u64 = 8 * 1024 * 1024;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        if metadata.is_dir() {
            scan_files(&path, planted);
        } else if metadata.is_file()
            && metadata.len() <= LONGEST
            && !planted.contains(&path.as_path())
            && let Some(fault) = std::fs::read(&path).ok().and_then(|it| secret_in(&it))
        {
            panic!("{}: {fault}", path.display());
        }
    }
}

/// Scans the arguments and the environment of a process, of which it may have these variables.
fn process_fault(id: u32, given: &[Vec<u8>]) -> Option<String> {
    let read = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    if let Some(fault) = secret_in(&read("cmdline")) {
        return Some(format!("the command line of a process {fault}"));
    }
    let environment = read("environ");
    // If the process ends while it is read, the last variable is cut off.
    let complete = environment.iter().rposition(|it| *it == 0);
    environment[..complete.unwrap_or_default()]
        .split(|it| *it == 0)
        .filter(|it| !given.iter().any(|given| given == it))
        .find_map(secret_in)
        .map(|fault| format!("the environment of a process {fault}"))
}

/// Fails the test if the arguments or the environment of a server, or of its child processes, contain a secret.
#[track_caller]
pub fn scan_family(id: u32) {
    if let Some(fault) = family(id).into_iter().find_map(|it| process_fault(it, &[])) {
        panic!("{fault}");
    }
}

/// The process and those that it started, as far as they are running.
fn family(id: u32) -> Vec<u32> {
    let mut family = vec![id];
    let mut next = 0;
    while let Some(id) = family.get(next).copied() {
        let threads = std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for thread in threads {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|it| it.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    family
}

/// Scans the processes of a run while it runs.
pub struct ProcessWatch {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl ProcessWatch {
    /// Watches the process `id`, which `command` has started.
    pub fn start(id: u32, command: &Command) -> Self {
        const LONGEST_PAUSE: Duration = Duration::from_millis(500);
        let given = command.get_envs().filter_map(|(name, value)| {
            let pair = [name.as_encoded_bytes(), value?.as_encoded_bytes()];
            Some(pair.join(&b'='))
        });
        let given: Vec<_> = given.collect();
        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut pause = Duration::from_millis(10);
            loop {
                let fault = family(id)
                    .into_iter()
                    .find_map(|it| process_fault(it, &given));
                if fault.is_some() || stop.load(Ordering::SeqCst) {
                    return fault;
                }
                std::thread::park_timeout(pause);
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }

    /// Ends the watch; returns what it found.
    pub fn stop(&mut self) -> Option<String> {
        self.ended.store(true, Ordering::SeqCst);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().unwrap()
    }
}

impl Drop for ProcessWatch {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
