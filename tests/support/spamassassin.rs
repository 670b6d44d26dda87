//! `SpamAssassin` with Debian's rules, without network tests: one process scores all messages.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The user `nobody` of Debian. `SpamAssassin` runs as it if the tests run as root.
const NOBODY: u32 = 65534;

/// The options: test mode, local tests only, the rules of the package even if newer ones were downloaded, and nothing
/// learned from earlier messages. The added header has one line, with the score of each rule that hit.
const OPTIONS: [&str; 11] = [
    "--test-mode",
    "--local",
    "--mbox",
    "--nocreate-prefs",
    "--configpath=/usr/share/spamassassin",
    "--siteconfigpath=/etc/spamassassin",
    "--cf=use_bayes 0",
    "--cf=report_safe 0",
    "--cf=fold_headers 0",
    "--cf=clear_headers",
    "--cf=add_header all Rules _HEADER(X-Number)_ _SCORE_ _TESTSSCORES_",
];

/// The score of one message.
#[derive(Debug)]
pub struct Score {
    pub total: f64,
    /// Each rule that hit, with its score.
    pub rules: Vec<(String, f64)>,
}

impl fmt::Display for Score {
    /// The total, and the rules that add to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total)?;
        for (rule, score) in self.rules.iter().filter(|(_, score)| score.abs() >= 0.05) {
            write!(f, ", {rule} {score}")?;
        }
        Ok(())
    }
}

/// The score of each message, in their order.
pub fn score<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<Score> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.mbox");
    let mut mailbox = File::create(&path).unwrap();
    let mut count = 0;
    for message in messages {
        let message = String::from_utf8(message.to_vec()).unwrap();
        // mboxrd: a line of a body that looks like the beginning of a message is quoted.
        let message = message.replace("\r\n", "\n").replace("\nFrom ", "\n>From ");
        // SpamAssassin prints messages in another order.
        let begin = format!("From tests Mon Nov 30 00:00:00 2026\nX-Number: {count}");
        writeln!(mailbox, "{begin}\n{message}").unwrap();
        count += 1;
    }
    let mut command = Command::new("spamassassin");
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command
        .args(OPTIONS)
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder.path())
        .stdin(Stdio::from(File::open(&path).unwrap()))
        .output()
        .expect("`spamassassin` can be run; `.ci/run` installs it");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
    // SpamAssassin cuts a preview of the text inside a character.
    let printed = String::from_utf8_lossy(&output.stdout);
    let headers = printed
        .lines()
        .filter_map(|it| it.strip_prefix("X-Spam-Rules: "));
    let scores: BTreeMap<_, _> = headers.map(parse).collect();
    assert!(scores.keys().copied().eq(0..count), "{printed}");
    scores.into_values().collect()
}

/// Number of the message, total, and rules: `7 1.0 RULE=1.0,OTHER=0.0`.
fn parse(header: &str) -> (usize, Score) {
    let mut words = header.split_whitespace();
    let mut word = || words.next().unwrap();
    let (number, total) = (word().parse().unwrap(), word().parse().unwrap());
    let rules = word().split(',').filter_map(|it| it.split_once('='));
    let rules = rules.map(|(rule, score)| (rule.to_owned(), score.parse().unwrap()));
    let rules = rules.collect();
    (number, Score { total, rules })
}
