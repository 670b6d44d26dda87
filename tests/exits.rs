//! Every exit code that scripts and cron rely on, reached from outside, with its message.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace};

fn ends_with(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr.contains(words), "{output:?}");
}

/// A relay that answers so at a stage.
fn saying(stage: Stage, text: &'static str) -> Server {
    Server::start(move |call: &Call| {
        if call.stage == stage {
            reply(text)
        } else {
            Action::Normal
        }
    })
}

fn job(server: &Server) -> Workplace {
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    workplace
}

#[test]
fn exit_0_when_the_work_is_done_and_when_there_is_none() {
    let server = Server::obliging();
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
    let server = saying(Stage::Rcpt, "550 5.1.1 no such user");
    let words = "rejected: ada@a.example: 550 5.1.1 no such user";
    ends_with(&job(&server).run(&["send"]), 1, words);
}

#[test]
fn exit_2_when_the_command_line_is_wrong() {
    let workplace = Workplace::new(1);
    ends_with(
        &workplace.run(&["sned"]),
        2,
        "unrecognized subcommand 'sned'",
    );
}

#[test]
fn exit_3_when_nobody_knows_whether_it_arrived() {
    let server = saying(Stage::Dot, "what?");
    let words = "unknown: ada@a.example: the relay sent no SMTP reply";
    ends_with(&job(&server).run(&["send"]), 3, words);
}

#[test]
fn exit_65_when_the_input_is_wrong() {
    let workplace = Workplace::new(1);
    workplace.partners(&["nobody"]);
    let words = "partners.csv:2, column email, \"nobody\": it is not an address";
    for verb in ["send", "check"] {
        ends_with(&workplace.run(&[verb]), 65, words);
    }
}

#[test]
fn exit_69_when_the_relay_does_not_take_our_mail() {
    let server = saying(Stage::Banner, "554 5.7.1 go away");
    let workplace = job(&server);
    ends_with(
        &workplace.run(&["send"]),
        69,
        "it said \"554 5.7.1 go away\"",
    );
    ends_with(&workplace.run(&["check", "--connect"]), 69, "go away");
    assert_eq!(workplace.state(), "pending");
}

/// The copy of the list that a run works on: a file without a name, which the system shows.
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

/// What was proven and what is to be sent differ only where a disk, a memory or the program is
/// at fault. Here the copy of the list is changed behind the back of a run that has proven
/// everything and waits for the relay's greeting.
#[test]
fn exit_70_when_what_is_to_be_sent_is_not_what_was_proven() {
    let (server, keeper) = Server::holding(Stage::Banner, 0);
    let workplace = Workplace::new(server.port());
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
    assert!(
        workplace
            .states()
            .iter()
            .all(|(_, state)| state == "pending")
    );
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn exit_74_when_a_file_cannot_be_written() {
    let server = Server::obliging();
    let mut workplace = Workplace::new(server.port());
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
fn exit_75_when_another_run_is_at_work_and_when_somebody_waits_for_a_later_one() {
    let server = saying(Stage::Rcpt, "451 4.7.1 greylisted");
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
fn exit_77_when_everybody_may_read_what_only_one_may() {
    let server = Server::obliging();
    let workplace = job(&server);
    let everybody = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(workplace.file("ledger.sqlite3"), everybody).unwrap();
    for verb in ["send", "status"] {
        ends_with(&workplace.run(&[verb]), 77, "is readable by everyone");
    }
}

#[test]
fn exit_78_when_the_configuration_is_wrong() {
    let workplace = Workplace::new(1);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace('#', "%23"));
    for verb in ["check", "preview", "send", "status"] {
        ends_with(
            &workplace.run(&[verb]),
            78,
            "config.toml:7:65: `packages.project.link` is not a whole My Access link",
        );
    }
}
