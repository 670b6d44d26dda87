//! `[notify]`: who is told how a run ended, with what, and that nothing else depends on it.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::ports::ClosedPort;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::token_endpoint::{Action as Answer, TokenEndpoint};
use crate::support::{Output, Workplace};

const ADA: &str = "ada.lovelace@a.example";
/// Records its arguments, its stdin and its variables, as `mail` would put them into a mail.
const MAIL: &str = "#!/bin/sh
{ echo \"To: $3\"; echo \"Subject: $2\"; echo; cat; echo --; env | grep '^ACCESS_INVITE_' | sort | sed 's|=/.*/|=/…/|'; } >> mail.txt
";

#[track_caller]
fn runs(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{arguments:?}: {output:?}");
    output
}

fn notify(workplace: &mut Workplace, lines: &str) {
    workplace.extra = format!("[notify]\n{lines}");
    workplace.configure();
}

fn script(workplace: &Workplace, name: &str, text: &str) {
    workplace.write(name, text);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(workplace.file(name), executable).unwrap();
}

const COMMAND: &str =
    "command = [\"./mail\", \"-s\", \"access-invite failed\", \"ops@contoso.example\"]\n";

fn with_mail(server: &Server, more: &str) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    script(&workplace, "mail", MAIL);
    notify(&mut workplace, &format!("{COMMAND}{more}"));
    workplace
}

/// The mail of the last runs, which is then removed; none if there was none.
fn mail(workplace: &Workplace) -> Option<String> {
    let text = std::fs::read_to_string(workplace.file("mail.txt")).ok()?;
    std::fs::remove_file(workplace.file("mail.txt")).unwrap();
    Some(text)
}

/// A relay that refuses Ada for good, Bob for now, and closes the connection instead of a reply about Dan.
fn relay() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("ada") => reply("550 5.1.1 unknown user"),
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => reply("450 4.2.0 later"),
        (Stage::Dot, Some(it)) if it.starts_with("dan") => Action::Close,
        _ => Action::Normal,
    })
}

#[test]
fn the_mail_of_a_failed_run_says_what_failed_and_names_no_partner() {
    let server = relay();
    let mut workplace = with_mail(&server, "");
    workplace.partners(&[ADA, "bob@b.example", "cyd@c.example"]);
    runs(&workplace, &["send"], 1);
    insta::assert_snapshot!("mail_of_refused_partners", mail(&workplace).unwrap());
    workplace.write(
        "partners.csv",
        "email,locale\nada.example,en\nbob@b.example,jp\n",
    );
    runs(&workplace, &["send"], 65);
    insta::assert_snapshot!("mail_of_a_bad_list", mail(&workplace).unwrap());

    workplace.extra = format!("[log]\nrecipients = true\n{}", workplace.extra);
    workplace.configure();
    workplace.partners(&["dan@d.example"]);
    runs(&workplace, &["send"], 3);
    let named = mail(&workplace).unwrap();
    assert!(named.contains("unknown: dan@d.example"), "{named}");
}

#[test]
fn a_relay_that_is_gone_and_a_wrong_configuration_are_reported() {
    let closed = ClosedPort::reserve();
    let mut workplace = Workplace::new(closed.port());
    script(&workplace, "mail", MAIL);
    notify(&mut workplace, COMMAND);
    workplace.partners(&[ADA]);
    runs(&workplace, &["send"], 69);
    let text = mail(&workplace).unwrap();
    assert!(
        text.contains("send ended with exit code 69 (campaign: spring)"),
        "{text}"
    );
    assert!(
        text.contains("error: cannot connect to the relay"),
        "{text}"
    );
    assert!(text.contains("ACCESS_INVITE_EXIT_CODE=69\n"), "{text}");

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("per_minute = 1000000", "per_minute = \"x\""),
    );
    runs(&workplace, &["send"], 78);
    let text = mail(&workplace).unwrap();
    assert!(
        text.contains("per_minute") && text.contains("ACCESS_INVITE_CAMPAIGN=spring\n"),
        "{text}"
    );
    workplace.write("config.toml", &config);
    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();
    runs(&workplace, &["send"], 78);
    assert!(mail(&workplace).unwrap().contains("ledger.sqlite3"));
}

#[test]
fn only_failures_of_send_and_sync_are_reported_and_ignored_codes_are_none() {
    let server = relay();
    let mut workplace = with_mail(&server, "");
    workplace.partners(&["cyd@c.example"]);
    runs(&workplace, &["send"], 0);
    runs(&workplace, &["send", "--dry-run", "--limit", "1"], 0);
    runs(
        &workplace,
        &["resolve", "x@y.example", "--as", "abandoned", "--note", "x"],
        65,
    );
    runs(&workplace, &["status"], 0);
    assert_eq!(mail(&workplace), None);
    runs(&workplace, &["sync"], 78);
    assert!(
        mail(&workplace)
            .unwrap()
            .contains("access-invite sync ended with exit code 78")
    );
    workplace.partners(&["bob@b.example"]);
    runs(&workplace, &["send"], 75);
    assert!(mail(&workplace).is_some());
    notify(&mut workplace, &format!("{COMMAND}ignore = [75, 1]"));
    runs(&workplace, &["send"], 75);
    assert_eq!(mail(&workplace), None);
}

#[test]
fn a_failed_notification_is_a_warning_and_changes_no_exit_code() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.partners(&["bob@b.example"]);
    script(
        &workplace,
        "broken",
        "#!/bin/sh\necho no route to mail.contoso.example >&2\nexit 9\n",
    );
    for (command, warning) in [
        (
            "\"/no/such/program\"",
            "warning: cannot run the program of `notify.command`: No such file",
        ),
        (
            "[\"./broken\"]",
            "warning: the program of `notify.command` failed (exit status: 9) and printed \"no route to mail.contoso.example\"",
        ),
    ] {
        notify(&mut workplace, &format!("command = {command}"));
        let output = runs(&workplace, &["send"], 75);
        assert!(output.stderr.contains(warning), "{output:?}");
        let quiet = runs(&workplace, &["--quiet", "send"], 75);
        assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
    }
    // A program that everyone can change is not run.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(workplace.file("broken"), open).unwrap();
    let output = runs(&workplace, &["send"], 75);
    assert!(
        output.stderr.contains("is writable by everyone"),
        "{output:?}"
    );
    std::fs::set_permissions(workplace.file("broken"), PermissionsExt::from_mode(0o755)).unwrap();
    // Nor one that such a configuration names.
    std::fs::set_permissions(
        workplace.file("config.toml"),
        PermissionsExt::from_mode(0o666),
    )
    .unwrap();
    runs(&workplace, &["send"], 77);
}

#[test]
fn a_signal_ends_a_notification_that_takes_long() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.partners(&["bob@b.example"]);
    script(
        &workplace,
        "slow",
        "#!/bin/sh\necho $$ > started\nsleep 1000\n",
    );
    notify(&mut workplace, "command = [\"./slow\"]");
    let run = workplace.start(&["send"]);
    let begun = Instant::now();
    while !workplace.file("started").exists() && begun.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(10));
    }
    run.signal("TERM");
    let ended = run.wait();
    assert_eq!(ended.code, 75, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("warning: the notification was cut short by SIGTERM"),
        "{ended:?}"
    );
    let leader = std::fs::read_to_string(workplace.file("started")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", leader.trim()));
    assert!(
        state.is_err() || state.unwrap().contains(") Z "),
        "{leader}"
    );
}

/// A server that keeps the first line of each request and answers with these statuses, then with 200.
fn heartbeat(statuses: &[u16]) -> (TokenEndpoint, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (kept, mut statuses) = (requests.clone(), statuses.to_vec());
    statuses.reverse();
    let endpoint = TokenEndpoint::start(move |request| {
        let line = request.head.lines().next().unwrap_or_default().to_owned();
        kept.lock().unwrap().push(line);
        Answer::Answer(statuses.pop().unwrap_or(200), String::new(), "OK".into())
    });
    (endpoint, requests)
}

fn taken(requests: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *requests.lock().unwrap())
}

const UUID: &str = "0b9b0bb6-4d1d-4b5c-9d0c-1a2b3c4d5e6f";

#[test]
fn the_heartbeat_is_requested_at_each_end_with_the_code_of_a_failure() {
    let (endpoint, requests) = heartbeat(&[]);
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    let url = format!("{}/{UUID}?x=1", endpoint.url());
    notify(&mut workplace, &format!("heartbeat_url = \"{url}\""));
    workplace.partners(&["cyd@c.example"]);
    let output = runs(&workplace, &["-v", "send"], 0);
    assert!(!output.stderr.contains(UUID), "{output:?}");
    workplace.partners(&["bob@b.example"]);
    runs(&workplace, &["send"], 75);
    runs(&workplace, &["sync"], 78);
    runs(&workplace, &["status"], 0);
    runs(&workplace, &["preview"], 0);
    let plain = format!("GET /{UUID}?x=1 HTTP/1.1");
    let with = |code: u8| format!("GET /{UUID}/{code}?x=1 HTTP/1.1");
    assert_eq!(taken(&requests), [plain.clone(), with(75), with(78)]);

    notify(
        &mut workplace,
        &format!("heartbeat_url = \"{url}\"\nignore = [75]"),
    );
    runs(&workplace, &["send"], 75);
    assert_eq!(taken(&requests), [plain.as_str()]);
    notify(
        &mut workplace,
        &format!("heartbeat_url = \"{url}\"\nheartbeat_failures = \"none\""),
    );
    runs(&workplace, &["send"], 75);
    assert!(taken(&requests).is_empty());

    // From a private file, a variable, a credential; none of them with a login in it or without TLS.
    workplace.write("url", &format!("{url}\n"));
    notify(&mut workplace, "heartbeat_url_file = \"url\"");
    std::fs::set_permissions(workplace.file("url"), PermissionsExt::from_mode(0o644)).unwrap();
    let output = runs(&workplace, &["send"], 75);
    assert!(
        output.stderr.contains("`notify.heartbeat_url_file`")
            && output.stderr.contains("chmod 600"),
        "{output:?}"
    );
    std::fs::set_permissions(workplace.file("url"), PermissionsExt::from_mode(0o600)).unwrap();
    runs(&workplace, &["send"], 75);
    assert_eq!(taken(&requests), [with(75)]);
    notify(&mut workplace, "heartbeat_url_env = \"BEAT\"");
    for (value, wrong) in [
        (url.as_str(), None),
        ("http://hc.example/x", Some("must begin with https://")),
        ("nonsense", Some("must be a URL")),
    ] {
        let output = workplace.run_with(&["send"], |it| {
            it.env("BEAT", value);
        });
        assert_eq!(output.code, 75, "{output:?}");
        match wrong {
            None => assert_eq!(taken(&requests), [with(75)]),
            Some(why) => {
                assert!(output.stderr.contains(why), "{output:?}");
                assert!(
                    !output.stderr.contains("nonsense") && !output.stderr.contains("hc.example"),
                    "{output:?}"
                );
            }
        }
    }
}

#[test]
fn a_heartbeat_is_repeated_while_its_server_fails_and_its_failure_is_a_warning_without_the_url() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.partners(&["cyd@c.example"]);
    let (endpoint, requests) = heartbeat(&[503]);
    notify(
        &mut workplace,
        &format!("heartbeat_url = \"{}/{UUID}\"", endpoint.url()),
    );
    let output = runs(&workplace, &["send"], 0);
    assert_eq!((output.stderr.as_str(), taken(&requests).len()), ("", 2));

    let (endpoint, requests) = heartbeat(&[404]);
    notify(
        &mut workplace,
        &format!("heartbeat_url = \"{}/{UUID}\"", endpoint.url()),
    );
    let output = runs(&workplace, &["send"], 0);
    assert_eq!(taken(&requests).len(), 1);
    assert_eq!(
        output.stderr,
        "warning: the heartbeat (`notify.heartbeat_url`) failed: it answered with status 404; check the URL\n"
    );
    // A wrong URL in the configuration is not shown.
    notify(
        &mut workplace,
        &format!("heartbeat_url = \"ftp://hc.example/{UUID}\""),
    );
    let output = runs(&workplace, &["send"], 78);
    assert!(
        output
            .stderr
            .contains("`notify.heartbeat_url` must be a URL"),
        "{output:?}"
    );
    assert!(!output.stderr.contains(UUID), "{output:?}");
    notify(
        &mut workplace,
        "heartbeat_url_file = \"a\"\nheartbeat_url_env = \"B\"",
    );
    let output = runs(&workplace, &["check"], 78);
    assert!(
        output.stderr.contains("there is only one heartbeat"),
        "{output:?}"
    );
}
