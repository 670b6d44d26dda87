use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

use super::*;

/// Runs a session against a server that answers each expected command with these lines. `TAG` is the
/// command's tag.
async fn serve(stream: DuplexStream, greeting: &str, script: &[(&str, &str)]) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    stream.write_all(greeting.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    for (expected, answer) in script {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end();
        let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
        let what = if *expected == "=" { line } else { command };
        seen.push(what.to_owned());
        assert!(
            *expected == "=" || command.starts_with(expected),
            "{line} is not {expected}"
        );
        let answer = answer.replace("TAG", tag);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    // Kept open until the client is done.
    let mut rest = String::new();
    let _ = stream.read_line(&mut rest).await;
    seen
}

const CAPABLE: (&str, &str) = (
    "CAPABILITY",
    "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 MOVE\r\nTAG OK done\r\n",
);
const AUTHENTICATED: (&str, &str) = ("AUTHENTICATE", "TAG OK in\r\n");
const GREETING: &str = "* OK ready\r\n";

fn password() -> ImapLogin {
    ImapLogin::Password("ada".into(), SecretString::from("pa\"ss"))
}

async fn log_in(
    login: ImapLogin,
    greeting: &'static str,
    script: &'static [(&'static str, &'static str)],
) -> (
    Result<ImapSession<DuplexStream>, ImapError>,
    tokio::task::JoinHandle<Vec<String>>,
) {
    let (client, other_end) = duplex(1 << 16);
    let served = tokio::spawn(serve(other_end, greeting, script));
    (ImapSession::log_in(client, &login).await, served)
}

#[tokio::test]
async fn mails_are_read_without_changing_the_mailbox() {
    const SCRIPT: &[(&str, &str)] = &[
        CAPABLE,
        ("AUTHENTICATE PLAIN AGFkYQBwYSJzcw==", "TAG OK in\r\n"),
        CAPABLE,
        (
            "EXAMINE \"INBOX\"",
            "* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\nTAG OK [READ-ONLY] done\r\n",
        ),
        (
            "UID SEARCH SINCE 1-Nov-2026",
            "* SEARCH 9 4 7 7\r\nTAG OK done\r\n",
        ),
        (
            "UID FETCH 4,7,9 (UID BODY.PEEK[]<0.1048576>)",
            "* 1 FETCH (UID 4 BODY[]<0> {5}\r\nfo\r\no)\r\n* 2 FETCH (BODY[]<0> {3}\r\nbar UID 7)\r\n* 3 EXISTS\r\n* 5 FETCH (UID 99 BODY[]<0> {3}\r\nxyz)\r\nTAG OK done\r\n",
        ),
        ("LOGOUT", "* BYE bye\r\nTAG OK done\r\n"),
    ];
    let (session, served) = log_in(password(), GREETING, SCRIPT).await;
    let mut session = session.unwrap();
    let ids = session
        .open("INBOX", false, Some("1-Nov-2026"))
        .await
        .unwrap();
    assert_eq!(ids, [4, 7, 9]);
    let mails = session.fetch(&ids).await.unwrap();
    assert_eq!(mails, [(4, b"fo\r\no".to_vec()), (7, b"bar".to_vec())]);
    session.log_out().await;
    assert_eq!(served.await.unwrap().len(), SCRIPT.len());
}

#[tokio::test]
async fn a_token_is_sent_and_its_refusal_explained() {
    const SCRIPT: &[(&str, &str)] = &[
        CAPABLE,
        (
            "AUTHENTICATE XOAUTH2 dXNlcj1hZGEBYXV0aD1CZWFyZXIgdDBrM24BAQ==",
            "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        ),
        ("=", "a2 NO [AUTHENTICATIONFAILED] no\r\n"),
    ];
    let login = ImapLogin::Token("ada".into(), SecretString::from("t0k3n"));
    let (session, _served) = log_in(login, GREETING, SCRIPT).await;
    let error = session.err().unwrap().to_string();
    assert_eq!(
        error,
        "the server refused the login: NO [AUTHENTICATIONFAILED] no {\"status\":\"400\"}"
    );
    assert!(!error.contains("t0k3n"));
}

#[tokio::test]
async fn logins_follow_what_the_server_offers() {
    const LOGIN: &[(&str, &str)] = &[
        ("CAPABILITY", "* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n"),
        ("LOGIN \"ada\" \"pa\\\"ss\"", "TAG OK in\r\n"),
        CAPABLE,
    ];
    const WITHOUT_INITIAL: &[(&str, &str)] = &[
        (
            "CAPABILITY",
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done\r\n",
        ),
        ("AUTHENTICATE PLAIN", "+ \r\n"),
        ("=", "a2 OK in\r\n"),
        CAPABLE,
    ];
    const DISABLED: &[(&str, &str)] = &[(
        "CAPABILITY",
        "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done\r\n",
    )];
    log_in(password(), GREETING, LOGIN).await.0.unwrap();
    log_in(password(), GREETING, WITHOUT_INITIAL)
        .await
        .0
        .unwrap();
    let error = log_in(password(), GREETING, DISABLED)
        .await
        .0
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("no login with a password"),
        "{error}"
    );
    let login = ImapLogin::Token("ada".into(), SecretString::from("t"));
    let error = log_in(login, GREETING, DISABLED).await.0.err().unwrap();
    assert!(
        error.to_string().contains("does not offer XOAUTH2"),
        "{error}"
    );
}

#[tokio::test]
async fn recorded_reports_are_moved() {
    const MOVE: &[(&str, &str)] = &[
        CAPABLE,
        AUTHENTICATED,
        CAPABLE,
        ("SELECT \"INBOX\"", "TAG OK done\r\n"),
        ("UID SEARCH ALL", "* SEARCH\r\nTAG OK done\r\n"),
        ("UID MOVE 4,7 \"Read\"", "TAG OK done\r\n"),
    ];
    const COPY: &[(&str, &str)] = &[
        (
            "CAPABILITY",
            "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN UIDPLUS\r\nTAG OK done\r\n",
        ),
        AUTHENTICATED,
        (
            "CAPABILITY",
            "* CAPABILITY IMAP4rev1 UIDPLUS\r\nTAG OK done\r\n",
        ),
        ("UID COPY 4 \"Read\"", "TAG OK done\r\n"),
        ("UID STORE 4 +FLAGS.SILENT (\\Deleted)", "TAG OK done\r\n"),
        ("UID EXPUNGE 4", "TAG OK done\r\n"),
    ];
    let (session, _served) = log_in(password(), GREETING, MOVE).await;
    let mut session = session.unwrap();
    assert!(session.open("INBOX", true, None).await.unwrap().is_empty());
    session.move_to(&[4, 7], "Read").await.unwrap();
    let (session, _served) = log_in(password(), GREETING, COPY).await;
    session.unwrap().move_to(&[4], "Read").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_misbehaves_is_an_error() {
    const REFUSING: &[(&str, &str)] = &[
        CAPABLE,
        AUTHENTICATED,
        CAPABLE,
        ("EXAMINE", "TAG NO [NONEXISTENT] no such folder\r\n"),
        ("EXAMINE", "* BYE restarting\r\n"),
    ];
    for (greeting, expected) in [
        (
            "* BYE overloaded\r\n",
            "refused the connection: * BYE overloaded",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n",
            "refused the connection: HTTP/1.1 400",
        ),
        ("* OK no CR\n", "a line ends without CR"),
        ("* OK {4294967296}\r\n", "it sends more than was asked for"),
        (
            "* OK {99999999999999999999999}\r\n",
            "it sends more than was asked for",
        ),
        ("", "did not answer within 60 s"),
    ] {
        let error = log_in(password(), greeting, &[]).await.0.err().unwrap();
        assert!(error.to_string().contains(expected), "{greeting}: {error}");
    }
    let (session, _served) = log_in(password(), GREETING, REFUSING).await;
    let mut session = session.unwrap();
    let error = session.open("x", false, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server refused the folder: NO [NONEXISTENT] no such folder"
    );
    let error = session.open("x", false, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server ended the session: restarting"
    );
}
