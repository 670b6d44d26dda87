//! Tells others how a run ended: a program after a failure, and a request to a URL that notices missing runs.
//!
//! Both together take a limited time. Their failure is a warning and changes nothing else.

use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tracing::debug;
use url::Url;

use crate::config::{HeartbeatUrl, Notify, parse_endpoint};
use crate::files::writable_by_everyone;
use crate::http::{Client, Get, HttpError, Proxies};
use crate::secret;

/// How long program and request take at most.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long one request may take, and the pause before the next.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(2);
/// How often the URL is requested until it answers.
const REQUESTS: u32 = 3;
/// The longest answer of the URL that is read, and how many characters of the program's stderr are shown.
const ANSWER_LIMIT: usize = 64 * 1024;
const SHOWN: u64 = 300;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The exit code.
    pub exit_code: u8,
    /// The verb.
    pub verb: &'static str,
    /// The campaign, if the configuration names it.
    pub campaign: Option<String>,
    /// The numbers of messages by outcome, if they are known.
    pub counts: Vec<(String, u64)>,
    /// What was written to stderr.
    pub messages: String,
}

/// Runs the program if the run failed, and requests the URL. Gives why one of them failed.
pub async fn notify(notify: &Notify, config: &Path, report: &RunReport) -> Vec<String> {
    let failed = notify.is_failure(report.exit_code);
    let command = notify.command.as_ref().filter(|_| failed);
    let heartbeat = notify.heartbeat.as_ref();
    let heartbeat = heartbeat.filter(|_| !failed || notify.reports_failures);
    let command = async {
        let words = command?;
        run(words, config, report).await.err()
    };
    let heartbeat = async {
        let url = heartbeat?;
        let code = failed.then_some(report.exit_code);
        request(url, code).await.err()
    };
    let (command, heartbeat) = tokio::join!(command, heartbeat);
    command.into_iter().chain(heartbeat).collect()
}

/// The text for the program's stdin.
fn text(report: &RunReport) -> String {
    let campaign = report.campaign.as_deref().unwrap_or("unknown");
    format!(
        "access-invite {} ended with exit code {} (campaign: {campaign})\n\n{}",
        report.verb, report.exit_code, report.messages
    )
}

/// The program's variables, in addition to those of this process.
fn variables(config: &Path, report: &RunReport) -> Vec<(String, String)> {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let mut variables = vec![
        ("EXIT_CODE".to_owned(), report.exit_code.to_string()),
        ("VERB".to_owned(), report.verb.to_owned()),
        (
            "CAMPAIGN".to_owned(),
            report.campaign.clone().unwrap_or_default(),
        ),
        ("CONFIG".to_owned(), config.display().to_string()),
    ];
    let counts = report.counts.iter();
    variables.extend(counts.map(|(name, number)| (name.to_uppercase(), number.to_string())));
    let named = |(name, value)| (format!("ACCESS_INVITE_{name}"), value);
    variables.into_iter().map(named).collect()
}

/// Kills the processes of a group when dropped.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs the program; gives why it failed. What it has left running in the background goes on.
async fn run(words: &[String], config: &Path, report: &RunReport) -> Result<(), String> {
    let (program, arguments) = words.split_first().expect("the command names a program");
    if program.contains('/')
        && let Some(open) = writable_by_everyone("the program", Path::new(program))
    {
        return Err(format!("{open}: `notify.command` was not run"));
    }
    let errors = tempfile::tempfile().ok();
    let stderr = errors.as_ref().and_then(|it| it.try_clone().ok());
    let child = Command::new(program)
        .args(arguments)
        .envs(variables(config, report))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr.map_or_else(Stdio::null, Stdio::from))
        .process_group(0)
        .spawn();
    // The program is not shown: by mistake, it may be a secret.
    let mut child = child.map_err(|error| {
        format!("cannot run the program of `notify.command`: {error}; give its full path")
    })?;
    let id = child.id().and_then(|it| i32::try_from(it).ok());
    let mut group = ProcessGroup(id.and_then(Pid::from_raw));
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = text(report);
    let write = async {
        // It need not be read.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
        std::future::pending::<io::Result<_>>().await
    };
    let ended = timeout(DEADLINE, async {
        tokio::select! { ended = child.wait() => ended, ended = write => ended }
    });
    let Ok(ended) = ended.await else {
        let seconds = DEADLINE.as_secs();
        return Err(format!(
            "the program of `notify.command` did not end within {seconds} s and was killed"
        ));
    };
    group.0 = None;
    let status = ended.map_err(|error| format!("cannot wait for `notify.command`: {error}"))?;
    debug!(%status, "the program of notify.command ended");
    if status.success() {
        return Ok(());
    }
    let errors = errors.and_then(|it| beginning(it).ok()).unwrap_or_default();
    Err(format!(
        "the program of `notify.command` failed ({status}) and printed \"{errors}\"; run it by hand to see why"
    ))
}

/// The beginning of what the program wrote, on one line.
fn beginning(mut errors: std::fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    errors.rewind()?;
    errors.take(SHOWN).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Requests the URL, with the exit code of a failure behind it; gives why that failed.
async fn request(url: &HeartbeatUrl, exit_code: Option<u8>) -> Result<(), String> {
    let failed = |why: &str| format!("the heartbeat (`notify.heartbeat_url`) failed: {why}");
    let mut url = read(url).map_err(|why| failed(&why))?;
    if let (Some(code), Ok(mut path)) = (exit_code, url.path_segments_mut()) {
        path.pop_if_empty().push(&code.to_string());
    }
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    let client = Client::new(None, proxies).map_err(|error| failed(&error.to_string()))?;
    let requests = async {
        let mut last = String::new();
        for attempt in 0..REQUESTS {
            if attempt > 0 {
                sleep(PAUSE).await;
            }
            match get(&client, &url).await {
                Ok(200..300) => return Ok(()),
                Ok(status @ (429 | 500..)) => last = format!("it answered with status {status}"),
                Ok(status) => {
                    return Err(format!("it answered with status {status}; check the URL"));
                }
                Err(HttpError::Unreachable(why)) => last = why,
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(last)
    };
    match timeout(DEADLINE, requests).await {
        Ok(requested) => requested.map_err(|why| failed(&why)),
        Err(_) => Err(failed("no answer in time")),
    }
}

/// Requests the URL once, and gives the status.
async fn get(client: &Client, url: &Url) -> Result<u16, HttpError> {
    let get = Get {
        authorization: None,
        accept: "*/*",
        limit: ANSWER_LIMIT,
        cut: true,
    };
    let response = client.get(url, get, REQUEST_DEADLINE).await?;
    Ok(response.status)
}

/// The URL, read from where it is kept.
fn read(url: &HeartbeatUrl) -> Result<Url, String> {
    let kept: SecretString = match url {
        HeartbeatUrl::Written(url) => url.clone(),
        HeartbeatUrl::Kept(source) => {
            secret::read(source, "URL of the heartbeat").map_err(|error| error.to_string())?
        }
    };
    parse_endpoint(kept.expose_secret().trim()).map_err(|why| {
        let why = why.unwrap_or_else(|| "must be a URL that begins with https://".to_owned());
        format!("its URL {why}")
    })
}
