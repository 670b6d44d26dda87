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
use crate::os_error::without_os_code;
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
        run(words, config, report, DEADLINE).await.err()
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
async fn run(
    words: &[String],
    config: &Path,
    report: &RunReport,
    deadline: Duration,
) -> Result<(), String> {
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
        let why = without_os_code(error);
        format!("cannot run the program of `notify.command`: {why}; give its full path")
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
    let ended = timeout(deadline, async {
        tokio::select! { ended = child.wait() => ended, ended = write => ended }
    });
    let Ok(ended) = ended.await else {
        let seconds = deadline.as_secs_f32();
        return Err(format!(
            "the program of `notify.command` did not end within {seconds} s and was killed"
        ));
    };
    group.0 = None;
    let status = ended.map_err(|error| {
        format!(
            "cannot wait for `notify.command`: {}",
            without_os_code(error)
        )
    })?;
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
            let answer = get(&client, &url).await;
            let status = answer.as_ref().map(|it| u64::from(*it)).ok();
            debug!(
                host = url.host_str(),
                status, attempt, "heartbeat requested"
            );
            match answer {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(messages: String) -> RunReport {
        RunReport {
            exit_code: 69,
            verb: "send",
            campaign: Some("spring".into()),
            counts: Vec::new(),
            messages,
        }
    }

    async fn sh(script: &str, messages: String, deadline: Duration) -> Result<(), String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(
            &words,
            Path::new("config.toml"),
            &report(messages),
            deadline,
        )
        .await
    }

    /// The state of a process in `/proc`; none if there is no such process.
    fn state_of(process: &str) -> Option<String> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).ok()?;
        Some(stat.rsplit_once(") ")?.1[..1].to_owned())
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let (child, ready) = (folder.path().join("child"), folder.path().join("ready"));
        let script = format!(
            "sleep 1000 & echo $! > {}; mv {} {}; wait",
            child.display(),
            child.display(),
            ready.display()
        );
        let words = ["sh", "-c", &script].map(str::to_owned);
        let report = report(String::new());
        let running = run(&words, Path::new("c"), &report, DEADLINE);
        let begun = async {
            while !ready.exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };

        // Dropping it is what the deadline and a signal do.
        tokio::select! { _ = running => panic!("it ended"), () = begun => {} }

        let child = std::fs::read_to_string(&ready).unwrap();
        let alive = || state_of(&child).is_some_and(|it| it != "Z");
        for _ in 0..200 {
            if !alive() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!alive(), "process {child} is still running");
        let late = sh("sleep 1000", String::new(), Duration::from_millis(50)).await;
        assert!(
            late.unwrap_err()
                .contains("did not end within 0.05 s and was killed")
        );
    }

    #[tokio::test]
    async fn a_program_need_not_read_and_may_leave_others_in_the_background() {
        let long = "x".repeat(1 << 20);
        assert_eq!(sh("exit 0", long, DEADLINE).await, Ok(()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("later");
        let script = format!("(sleep 0.2; echo done > {}) &", file.display());

        assert_eq!(sh(&script, String::new(), DEADLINE).await, Ok(()));
        for _ in 0..500 {
            if file.exists() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(file.exists());
    }

    #[tokio::test]
    async fn a_failure_shows_what_the_program_wrote_to_stderr_only() {
        let script = "echo s3cret; echo no route >&2; exit 7";
        let error = sh(script, String::new(), DEADLINE).await.unwrap_err();

        assert!(
            error.contains("exit status: 7") && error.contains("\"no route\""),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
        let words = ["/no/such/program".to_owned()];
        let missing = run(&words, Path::new("c"), &report(String::new()), DEADLINE).await;
        assert!(missing.unwrap_err().starts_with("cannot run the program"));
    }
}
