//! What real servers send back: Postfix's reports, read from its Maildir and from Dovecot over IMAP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::node::{SCOPE, TOKEN_PATH};
use crate::support::peers::{PASSWORD, Peers, USER, make_private, run, wait_until};
use crate::support::{Output, Workplace};

const PARTNERS: usize = 200;

/// A job that sends through Postfix, with these further tables. Addresses that begin with `bounce`, `full` and
/// `slow` are accepted, and fail later or take long.
fn job(peers: &Peers, tables: &str) -> Workplace {
    let port = peers.port("STARTTLS");
    let mut workplace = Workplace::new(port);
    workplace.write("ca.pem", &peers.pki.ca_pem);
    for name in ["password", "client-secret"] {
        workplace.write(name, &format!("{PASSWORD}\n"));
        make_private(&workplace.file(name));
    }
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {port}\ntls = \"starttls\"\nca_file = \"ca.pem\"\nusername = \"{USER}\"\npassword_file = \"password\""
    );
    tables.clone_into(&mut workplace.extra);
    workplace.configure();
    workplace
}

/// Copies Postfix's mail to the mailbox that Dovecot shows to its user.
fn to_dovecot(peers: &Peers) {
    let home = peers.file(&format!("dovecot/home/{USER}"));
    let maildir = home.join("Maildir");
    std::fs::create_dir_all(&maildir).unwrap();
    run(std::process::Command::new("cp")
        .arg("-r")
        .arg(peers.file("mail/all"))
        .arg(&home));
    let _ = std::fs::remove_dir_all(&maildir);
    std::fs::rename(home.join("all"), &maildir).unwrap();
    run(std::process::Command::new("chown")
        .args(["-R", "nobody:nogroup"])
        .arg(&home));
}

/// How many mails of Postfix's mailbox contain a text.
fn containing(peers: &Peers, text: &str) -> usize {
    let folder = peers.file("mail/all/new");
    let mails = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = mails.filter_map(|it| std::fs::read_to_string(it.path()).ok());
    texts.filter(|it| it.contains(text)).count()
}

fn states(workplace: &Workplace) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, state) in workplace.states() {
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// Two hundred partners, of whom five are unknown, three have full mailboxes and two are slow.
fn write_partners(workplace: &Workplace) {
    let prefix = |number: usize| match number {
        0..5 => "bounce",
        5..8 => "full",
        8..10 => "slow",
        _ => "partner",
    };
    let rows = (0..PARTNERS).map(|it| format!("{}.{it}@d{}.example,Ada,\n", prefix(it), it % 50));
    let rows: String = rows.collect();
    workplace.write("partners.csv", &format!("email,name,locale\n{rows}"));
}

fn send_to_all(peers: &Peers, workplace: &Workplace) {
    write_partners(workplace);
    let output = workplace.run(&["send"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    wait_until("the reports have arrived", || {
        containing(peers, "\nAction: failed") == 8 && containing(peers, "\nAction: delayed") >= 2
    });
}

#[track_caller]
fn bounced(output: &Output, workplace: &Workplace) {
    assert_eq!(output.code, 1, "{output:?}");
    let expected = [("accepted", PARTNERS - 8), ("bounced", 8)];
    assert_eq!(
        states(workplace),
        expected
            .map(|(state, count)| (state.to_owned(), count))
            .into()
    );
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn reports_of_postfix_are_read_from_its_maildir() {
    let peers = Peers::start();
    let maildir = peers.file("mail/all");
    let tables = format!("[bounces]\nmaildir = {maildir:?}\nsuppress = true");
    let workplace = job(&peers, &tables);
    send_to_all(&peers, &workplace);
    std::fs::create_dir_all(maildir.join("cur")).unwrap();

    bounced(&workplace.run(&["sync"]), &workplace);

    let history = workplace
        .run(&["status", "bounce.0@d0.example", "--format", "json"])
        .stdout;
    assert!(history.contains("5.1.1"), "{history}");
    let slow = workplace
        .run(&["status", "slow.8@d8.example", "--format", "json"])
        .stdout;
    assert!(slow.contains(": delayed"), "{slow}");
    // ENVID and header came through.
    assert!(containing(&peers, "\nOriginal-Envelope-Id: ") >= 10);
    assert!(containing(&peers, "\nX-Access-Invite-Id: ") >= PARTNERS);
    let again = workplace.run(&["sync"]);
    assert_eq!(again.code, 0, "{again:?}");
    let sent = containing(&peers, "X-Access-Invite-Id");
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(containing(&peers, "X-Access-Invite-Id"), sent);

    // A later campaign leaves out the unknown users, and not those whose mailbox is full.
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("summer.toml", &config.replace("\"spring\"", "\"summer\""));
    let summer = ["--config", "summer.toml"];
    let output = workplace.run(&[&["send", "--new-campaign"], &summer[..]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    let status = workplace.run(&[&["status", "--format", "json"], &summer[..]].concat());
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["counts"]["accepted"], PARTNERS - 5);
    assert_eq!(status["counts"]["suppressed"], 5);
}

/// A relay in front of a server that loses the reply to the `nth` message: it closes the connection once the server
/// has replied. Gives its port.
fn losing_the_reply(server: u16, nth: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let messages = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        // It ends with the test's process, or when the last client has gone.
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                return;
            };
            let messages = messages.clone();
            std::thread::spawn(move || forward(client, server, &messages, nth));
        }
    });
    port
}

fn forward(mut client: TcpStream, mut server: TcpStream, messages: &AtomicUsize, nth: usize) {
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    let replies = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut sent = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        sent.extend_from_slice(&buffer[..length]);
        let dots = sent.windows(5).filter(|it| it == b"\r\n.\r\n").count();
        let is_lost = dots > 0 && messages.fetch_add(dots, Ordering::SeqCst) + dots == nth;
        if dots > 0 {
            sent.clear();
        }
        if is_lost {
            // The client hears nothing more; the server has the message.
            let _ = client.shutdown(Shutdown::Both);
        }
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
        if is_lost {
            std::thread::sleep(Duration::from_secs(2));
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = replies.join();
}

#[test]
#[ignore = "needs Debian's servers; .ci/run calls it"]
fn a_report_of_postfix_settles_a_message_whose_reply_was_lost() {
    let peers = Peers::start();
    let maildir = peers.file("mail/all");
    let tables = format!("[bounces]\nmaildir = {maildir:?}\nreceipts = true");
    let mut workplace = job(&peers, &tables);
    let port = losing_the_reply(peers.port("PLAIN"), 100);
    workplace.smtp =
        format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = 1");
    workplace.configure();
    write_partners(&workplace);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 3, "{output:?}");
    let sent = [("accepted", PARTNERS - 1), ("unknown", 1)];
    let sent = sent.map(|(state, number)| (state.to_owned(), number));
    assert_eq!(states(&workplace), sent.into());
    let delivered = PARTNERS - 8 - 2;
    wait_until("the reports have arrived", || {
        containing(&peers, "\nAction: failed") == 8
            && containing(&peers, "\nAction: delayed") >= 2
            && containing(&peers, "\nAction: delivered") + containing(&peers, "\nAction: relayed")
                >= delivered
    });
    std::fs::create_dir_all(maildir.join("cur")).unwrap();

    let synced = workplace.run(&["sync"]);

    assert_eq!(synced.code, 1, "{synced:?}");
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    expected.insert("accepted".into(), 2);
    expected.insert("bounced".into(), 8);
    expected.insert("delivered".into(), delivered);
    assert_eq!(states(&workplace), expected);
    assert_eq!(workplace.run(&["sync"]).code, 0);
    assert_eq!(states(&workplace), expected);
    // Nobody is mailed again.
    let mails = containing(&peers, "X-Access-Invite-Id");
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(containing(&peers, "X-Access-Invite-Id"), mails);
}

#[test]
#[ignore = "needs Debian's servers and npm's programs; .ci/run calls it"]
fn reports_of_postfix_are_read_from_dovecot_with_password_and_token() {
    let peers = Peers::start();
    let issuer = peers.issuer(&[json!({
        "id": "client", "method": "client_secret_post", "lifetime": 60, "ahead": 0,
    })]);
    let imap = |auth: &str| {
        format!(
            "[bounces.imap]\nhost = \"localhost\"\nport = {}\nusername = \"{USER}\"\nca_file = \"ca.pem\"\n{auth}\n",
            peers.port("IMAPS")
        )
    };
    let mut workplace = job(&peers, &imap("password_file = \"password\""));
    send_to_all(&peers, &workplace);
    to_dovecot(&peers);
    let mailbox = || listing(&peers.file(&format!("dovecot/home/{USER}/Maildir")));
    let before = mailbox();

    bounced(&workplace.run(&["sync"]), &workplace);

    assert_eq!(mailbox(), before, "the mailbox is not changed");
    // By token, and reports are moved.
    workplace.smtp = workplace.smtp.replace("password_file = \"password\"", "");
    workplace.extra = format!(
        "[smtp.oauth]\ntoken_url = \"http://127.0.0.1:{}{TOKEN_PATH}\"\nclient_id = \"client\"\nclient_secret_file = \"client-secret\"\nscope = \"{SCOPE}\"\n{}",
        issuer.port(),
        imap("auth = \"oauth\"\nmove_to = \"Read\"")
    );
    workplace.configure();
    let missing = workplace.run(&["sync"]);
    assert_eq!(missing.code, 75, "{missing:?}");
    assert!(
        missing.stderr.contains("the server refused UID MOVE"),
        "{missing:?}"
    );
    workplace.extra = workplace.extra.replace("\"Read\"", "\"Trash\"");
    std::fs::create_dir_all(peers.file(&format!("dovecot/home/{USER}/Maildir/.Trash/cur")))
        .unwrap();
    for folder in ["new", "tmp"] {
        std::fs::create_dir_all(
            peers.file(&format!("dovecot/home/{USER}/Maildir/.Trash/{folder}")),
        )
        .unwrap();
    }
    run(std::process::Command::new("chown")
        .args(["-R", "nobody:nogroup"])
        .arg(peers.file("dovecot/home")));
    workplace.configure();
    let moved = workplace.run(&["sync"]);
    assert_eq!(moved.code, 0, "{moved:?}");
    let left = mailbox();
    let reports = left.iter().filter(|it| it.contains(".Trash/")).count();
    assert!(reports >= 10, "{left:?}");
    assert!(peers.log().contains("method=XOAUTH2"));

    // A login that is refused is a fault of the configuration.
    workplace.write("password", "wrong\n");
    workplace.extra = imap("password_file = \"password\"");
    workplace.smtp = workplace
        .smtp
        .replace(&format!("username = \"{USER}\""), "");
    workplace.configure();
    let refused = workplace.run(&["sync"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.stderr.contains("the server refused the login"),
        "{refused:?}"
    );
}

/// The files of a Maildir.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("dovecot")
            {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}
