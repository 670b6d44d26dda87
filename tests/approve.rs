//! Approvals on record: `approve`, what a `send` requires, and what is shown about them.

use std::os::unix::fs::PermissionsExt;

use crate::support::smtp::Server;
use crate::support::{Output, Workplace, without_privileges};

const LIST: &str = "email,name\nada@a.example,Ada\n";
const OTHER_LIST: &str = "email,name\nada@a.example,Ada\nbob@b.example,Bob\n";
const FILES: [&str; 2] = ["ledger.sqlite3", "ledger.sqlite3.witness"];

fn job(port: u16, approval: &str) -> Workplace {
    let mut workplace = Workplace::english(port);
    workplace.extra = format!("[approval]\n{approval}");
    workplace.configure();
    workplace.write("partners.csv", LIST);
    workplace
}

#[track_caller]
fn succeeds(output: &Output) {
    assert_eq!(output.code, 0, "{output:?}");
}

/// Previews the job with this list, and gives the digest.
fn preview(workplace: &Workplace, list: &str) -> String {
    workplace.write("partners.csv", list);
    let preview = workplace.run(&["preview"]);
    succeeds(&preview);
    let digest = preview.stdout.split("digest of the inputs: ").nth(1);
    digest.unwrap()[..67].to_owned()
}

/// Previews the job with this list, and approves it.
fn approve(workplace: &Workplace, list: &str) {
    preview(workplace, list);
    succeeds(&workplace.run(&["approve", "--by", "Ada"]));
}

/// What may approve the current inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Approval {
    None,
    Missing,
    OfTheseInputs,
    OfOthers,
    /// Of these inputs, and later of others.
    Superseded,
}

#[test]
fn an_unapproved_change_is_never_sent_however_approvals_are_configured() {
    use Approval::{None, OfOthers, OfTheseInputs, Superseded};
    let server = Server::accepting();
    let mut workplace = job(server.port(), "required = true");
    let other = preview(&workplace, OTHER_LIST);
    let current = preview(&workplace, LIST);
    let (mut cases, mut sent) = (0, 0);
    for recorded in [None, OfOthers, Superseded, OfTheseInputs] {
        match recorded {
            None => {}
            OfTheseInputs => approve(&workplace, LIST),
            OfOthers => approve(&workplace, OTHER_LIST),
            _ => {
                approve(&workplace, LIST);
                approve(&workplace, OTHER_LIST);
            }
        }
        workplace.write("partners.csv", LIST);
        let ledger = FILES.map(|it| std::fs::read(workplace.file(it)).ok());
        for (required, file, given) in combinations() {
            let file_key = match file {
                None => "",
                _ => "file = \"approved.txt\"",
            };
            workplace.extra = format!("[approval]\nrequired = {required}\n{file_key}");
            workplace.configure();
            match file {
                OfTheseInputs => workplace.write("approved.txt", &current),
                OfOthers => workplace.write("approved.txt", &other),
                _ => drop(std::fs::remove_file(workplace.file("approved.txt"))),
            }
            let verb: &[&str] = match given {
                OfTheseInputs => &["send", "--approved", &current],
                OfOthers => &["send", "--approved", &other],
                _ => &["send"],
            };
            let allowed = match given {
                None if !required && file == None => true,
                None => file == OfTheseInputs || (required && recorded == OfTheseInputs),
                given => given == OfTheseInputs,
            };
            let before = (server.connections(), server.accepted().len());

            let output = workplace.run(verb);

            let case = format!(
                "required {required}, file {file:?}, recorded {recorded:?}, given {given:?}"
            );
            let code = if allowed { 0 } else { 65 };
            assert_eq!(output.code, code, "{case}: {output:?}");
            let mails = server.accepted().len() - before.1;
            assert_eq!(mails, usize::from(allowed), "{case}");
            if !allowed {
                assert_eq!(server.connections(), before.0, "{case}");
                assert!(
                    output.stderr.contains("nothing was sent"),
                    "{case}: {output:?}"
                );
            }
            (cases, sent) = (cases + 1, sent + mails);
            for (name, content) in FILES.iter().zip(&ledger) {
                match content {
                    Some(content) => std::fs::write(workplace.file(name), content).unwrap(),
                    Option::None => drop(std::fs::remove_file(workplace.file(name))),
                }
            }
        }
        workplace.extra = "[approval]\nrequired = true".into();
        workplace.configure();
    }
    assert_eq!(cases, 96);
    assert!(sent > 20, "{sent}");
}

/// All combinations of `required`, the file, and the digest on the command line.
fn combinations() -> Vec<(bool, Approval, Approval)> {
    use Approval::{Missing, None, OfOthers, OfTheseInputs};
    let mut all = Vec::new();
    for required in [false, true] {
        for file in [None, Missing, OfTheseInputs, OfOthers] {
            for given in [None, OfTheseInputs, OfOthers] {
                all.push((required, file, given));
            }
        }
    }
    all
}

#[test]
fn approve_records_the_review_and_covers_later_runs() {
    let server = Server::accepting();
    let workplace = job(server.port(), "required = true");
    let digest = preview(&workplace, LIST);

    let send = workplace.run(&["send"]);
    assert_eq!(send.code, 65, "{send:?}");
    let words = "not approved: no approval is on record; review the messages with `access-invite preview`, then run `access-invite approve`";
    assert!(send.stderr.contains(words), "{send:?}");
    let approved = workplace.run(&["approve", "--by", " Ada Lovelace ", "--note", "read"]);
    succeeds(&approved);
    assert_eq!(
        approved.stdout,
        format!("approved by Ada Lovelace: {digest}\n")
    );
    assert_eq!(approved.stderr, "");
    let preview = workplace.run(&["preview"]);
    assert!(preview.stdout.contains(", already approved"), "{preview:?}");
    assert!(!preview.stderr.contains("would stop"), "{preview:?}");
    succeeds(&workplace.run(&["send"]));
    succeeds(&workplace.run(&["send"]));
    assert_eq!(server.accepted().len(), 1);

    workplace.write("partners.csv", OTHER_LIST);
    for verb in [&["send"][..], &["approve"], &["approve", &digest]] {
        let refused = workplace.run(verb);
        assert_eq!(refused.code, 65, "{refused:?}");
        let changed = "\npartners: rows: 1 added (partners.csv:3)\n";
        assert!(refused.stderr.contains(changed), "{refused:?}");
    }
    let check = workplace.run(&["check"]);
    let words = "a real send would stop: the inputs have changed since they were approved";
    assert!(check.stderr.contains(words), "{check:?}");
    let preview = workplace.run(&["preview", "--out", "elsewhere"]);
    let command = preview.stdout.split("to approve it: access-invite ").nth(1);
    let command: Vec<&str> = command.unwrap().split_whitespace().collect();
    assert_eq!(command[0], "approve");
    succeeds(&workplace.run(&command));
    succeeds(&workplace.run(&["send"]));
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn approve_without_a_review_of_the_whole_list_is_refused() {
    let workplace = job(1, "");
    let none = workplace.run(&["approve"]);
    assert_eq!(none.code, 65, "{none:?}");
    assert!(
        none.stderr
            .contains("there is no review of the whole list in `preview`")
    );
    succeeds(&workplace.run(&["preview", "--limit", "1"]));
    assert_eq!(workplace.run(&["approve"]).code, 65);
    for wrong in [&["approve", "1234"][..], &["approve", "--by", " "]] {
        assert_eq!(workplace.run(wrong).code, 2);
    }
    succeeds(&workplace.run(&["preview"]));
    let approved = workplace.run(&["approve"]);
    succeeds(&approved);
    // Without the rule, the approval is recorded and has no effect.
    assert!(
        approved.stderr.contains("set `approval.required = true`"),
        "{approved:?}"
    );
}

#[test]
fn who_may_not_write_the_ledger_is_told_to_use_the_file() {
    for (rules, hint) in [
        (
            "file = \"approved.txt\"",
            "approve with `cp preview/approval.txt approved.txt`",
        ),
        (
            "required = true",
            "approve with the file of `approval.file`",
        ),
    ] {
        let workplace = job(1, rules);
        succeeds(&workplace.run(&["preview"]));
        let ledger = workplace.file(FILES[0]);
        let read_only = std::fs::Permissions::from_mode(0o400);
        std::fs::set_permissions(&ledger, read_only).unwrap();
        let before = std::fs::read(&ledger).unwrap();

        let refused = without_privileges(&workplace, &["approve"]);

        assert_eq!(refused.code, 77, "{refused:?}");
        assert!(refused.stderr.contains(hint), "{refused:?}");
        assert!(std::fs::read(&ledger).unwrap() == before);
    }
}
