//! Every exit code, reached by running the binary, with its message.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use crate::support::smtp::{Server, Stage};
use crate::support::{Output, Workplace};

fn ends_with(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr.contains(words), "{output:?}");
}

fn job(server: &Server) -> Workplace {
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    workplace
}

#[test]
fn exit_0_when_done_or_nothing_is_due() {
    let server = Server::accepting();
    let workplace = job(&server);

    for _ in 0..2 {
        let output = workplace.run(&["send"]);
        let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
        assert_eq!(said, (0, "", ""));
    }
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn exit_1_when_a_partner_was_refused() {
    let server = Server::replying(Stage::Rcpt, "550 5.1.1 no such user");
    let words = "rejected: ada@a.example: 550 5.1.1 no such user";
    ends_with(&job(&server).run(&["send"]), 1, words);
}

#[test]
fn exit_2_when_the_command_line_is_wrong() {
    let workplace = Workplace::english(1);
    ends_with(
        &workplace.run(&["sned"]),
        2,
        "unrecognized subcommand 'sned'",
    );
}

#[test]
fn exit_3_when_a_delivery_is_unknown() {
    let server = Server::replying(Stage::Dot, "what?");
    let words = "unknown: ada@a.example: the relay sent no SMTP reply";
    ends_with(&job(&server).run(&["send"]), 3, words);
}

#[test]
fn exit_65_when_the_input_is_wrong() {
    let workplace = Workplace::english(1);
    workplace.partners(&["nobody"]);
    let words = "partners.csv:2, column email, \"nobody\": it is not an address";
    for verb in ["send", "check"] {
        ends_with(&workplace.run(&[verb]), 65, words);
    }
}

#[test]
fn exit_69_when_the_relay_refuses_the_sender() {
    let server = Server::replying(Stage::Banner, "554 5.7.1 go away");
    let workplace = job(&server);
    ends_with(
        &workplace.run(&["send"]),
        69,
        "it replied \"554 5.7.1 go away\"",
    );
    ends_with(&workplace.run(&["check", "--connect"]), 69, "go away");
    assert_eq!(workplace.state(), "pending");
}

/// The copy of the list that a run works on: an unnamed file, found through /proc.
fn copy_of(pid: u32) -> PathBuf {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut files = files.map(|it| it.unwrap().path());
    let text = |it: &PathBuf| std::fs::read(it).unwrap_or_default();
    let unnamed = |it: &PathBuf| {
        let name = std::fs::read_link(it).unwrap_or_default();
        name.to_string_lossy().ends_with(" (deleted)")
    };
    files
        .find(|it| unnamed(it) && text(it).starts_with(b"email,name"))
        .expect("the run has a copy of its list")
}

/// A message differs from the verified one only if the disk, the memory or the program is
/// faulty. The test changes the copy of the list of a run that has verified everything and
/// waits for the greeting of the relay.
#[test]
fn exit_70_when_a_message_differs_from_the_verified_one() {
    let (server, keeper) = Server::holding(Stage::Banner, 0);
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let run = workplace.start(&["send"]);
    keeper.wait();

    let copy = copy_of(run.id());
    let place = std::fs::read_to_string(&copy).unwrap().find("Ada").unwrap();
    let copy = std::fs::OpenOptions::new().write(true).open(copy).unwrap();
    copy.write_all_at(b"Eve", place as u64).unwrap();
    keeper.release();

    let words =
        "the message to ada@a.example is not the one that was verified; nothing more is sent";
    ends_with(&run.wait(), 70, words);
    assert!(server.accepted().is_empty());
    workplace.all_are("pending");
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn exit_74_when_a_file_cannot_be_written() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.extra = "[results]\ncsv = \"nowhere/results.csv\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    ends_with(&workplace.run(&["send"]), 74, "there is no such folder");
    let output = workplace.run(&["init", "partners.csv/invitations"]);
    ends_with(
        &output,
        74,
        "cannot create the folder `partners.csv/invitations`",
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn exit_75_when_locked_or_deferred() {
    let server = Server::replying(Stage::Rcpt, "451 4.7.1 greylisted");
    let workplace = job(&server);
    let lock = std::fs::File::create(workplace.file("ledger.sqlite3.lock")).unwrap();
    lock.lock().unwrap();
    ends_with(
        &workplace.run(&["send"]),
        75,
        "another run is using the ledger",
    );
    drop(lock);

    let output = workplace.run(&["send"]);
    let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
    assert_eq!(said, (75, "", ""), "a deferral alone is no news");
    assert_eq!(workplace.state(), "deferred");
}

#[test]
fn exit_77_when_a_secret_is_readable_by_everyone() {
    let server = Server::accepting();
    let workplace = job(&server);
    let everybody = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(workplace.file("ledger.sqlite3"), everybody).unwrap();
    for verb in ["send", "status"] {
        ends_with(&workplace.run(&[verb]), 77, "is readable by everyone");
    }
}

#[test]
fn exit_78_when_the_configuration_is_wrong() {
    let workplace = Workplace::english(1);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace('#', "%23"));
    for verb in ["check", "preview", "send", "status"] {
        ends_with(
            &workplace.run(&[verb]),
            78,
            "config.toml:7:65: `packages.project.link` is not a complete My Access link",
        );
    }
}
