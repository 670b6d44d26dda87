//! Memory for a million rows. Run by `.ci/run` with the release binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use std::io::Write;

use rusqlite::Connection;

use crate::support::Workplace;
use crate::support::smtp::Server;
use crate::sync::report_with;

/// The highest resident memory of a finished run, in KiB, as the kernel counted it.
fn peak_of(workplace: &Workplace, arguments: &[&str]) -> (i32, u64) {
    let script = "import resource,subprocess,sys\n\
        code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode\n\
        print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let output = workplace.run_under(&["python3", "-c", script], arguments);
    let text = output.stdout;
    let mut numbers = text.split_whitespace().map(|it| it.parse::<i64>().unwrap());
    let code = i32::try_from(numbers.next().unwrap()).unwrap();
    (code, numbers.next().unwrap().unsigned_abs())
}

/// The number of rows that Python's `csv` finds in the results, and of accepted ones, if
/// all begin with the cells of the list.
fn rows_by_python(workplace: &Workplace) -> (usize, usize) {
    let script = "import csv\n\
        count = accepted = 0\n\
        with open('partners.csv', newline='') as a, open('results.csv', newline='') as b:\n\
        \tfor mine, theirs in zip(csv.reader(a), csv.reader(b), strict=True):\n\
        \t\tassert theirs[:5] == mine and len(theirs) == 21, theirs\n\
        \t\tcount += 1\n\
        \t\taccepted += theirs[5] == 'accepted'\n\
        print(count - 1, accepted)";
    let output = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(workplace.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|it| it.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn a_million_rows_are_read_within_64_mib() {
    const ROWS: usize = 1_000_000;
    let server = Server::accepting();
    let mut workplace = Workplace::on_disk(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    let file = std::fs::File::create(workplace.file("partners.csv")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "email,name,organization,locale,project lead").unwrap();
    for row in 0..ROWS {
        let domain = row % 9_973;
        writeln!(
            file,
            "person.{row}@company{domain}.example,Person {row},Company {domain} Ltd,fr-CA,Somebody"
        )
        .unwrap();
    }
    file.flush().unwrap();
    drop(file);

    // All rows are read and planned, one is due because of `--only`.
    let last = format!("person.{}@company{}.example", ROWS - 1, (ROWS - 1) % 9_973);
    let (code, peak) = peak_of(&workplace, &["send", "--only", &last]);
    assert_eq!(code, 0);
    assert_eq!(server.accepted().len(), 1);
    println!("one of a million: {} MiB", peak / 1024);
    assert!(peak <= 64 * 1024, "{peak} KiB");
    // All of them are in the results, and Python reads the same rows.
    assert_eq!(rows_by_python(&workplace), (ROWS, 1));

    let (code, peak) = peak_of(&workplace, &["check"]);
    assert_eq!(code, 0);
    println!("check of a million: {} MiB", peak / 1024);
    assert!(peak <= 64 * 1024, "{peak} KiB");
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn memory_does_not_grow_with_sent_messages() {
    let peaks = [1_000, 20_000].map(|rows| {
        let server = Server::accepting();
        let mut workplace = Workplace::on_disk(server.port());
        workplace.smtp += "\nconnections = 8";
        workplace.configure();
        let rows: String = (0..rows)
            .map(|it| format!("p{it}@a.example,Ada\n"))
            .collect();
        workplace.write("partners.csv", &format!("email,name\n{rows}"));
        let (code, peak) = peak_of(&workplace, &["send"]);
        assert_eq!(code, 0);
        peak
    });
    println!(
        "1,000 messages: {} MiB, 20,000: {} MiB",
        peaks[0] / 1024,
        peaks[1] / 1024
    );
    assert!(peaks[1] <= peaks[0] + 8 * 1024, "{peaks:?}");
    assert!(peaks[1] <= 64 * 1024, "{peaks:?}");
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn memory_does_not_grow_with_reviewed_messages() {
    let peaks = [500, 8_000].map(|rows| {
        let workplace = Workplace::on_disk(1);
        let rows: String = (0..rows)
            .map(|it| format!("p{it}@a.example,Ada\n"))
            .collect();
        workplace.write("partners.csv", &format!("email,name\n{rows}"));
        let (code, peak) = peak_of(&workplace, &["preview"]);
        assert_eq!(code, 0);
        peak
    });
    println!(
        "500 messages: {} MiB, 8,000: {} MiB",
        peaks[0] / 1024,
        peaks[1] / 1024
    );
    assert!(peaks[1] <= peaks[0] + 4 * 1024, "{peaks:?}");
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn a_million_rows_are_approved_within_72_mib() {
    const ROWS: usize = 1_000_000;
    let mut workplace = Workplace::on_disk(1);
    workplace.extra = "[approval]\nfile = \"preview/approval.txt\"".into();
    workplace.configure();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    // A package that is closed, so that the preview has a million partners and no message.
    let closed = "name = \"Project space\"\nrespond_by = 2020-01-01";
    workplace.write(
        "config.toml",
        &config.replace("name = \"Project space\"", closed),
    );
    let file = std::fs::File::create(workplace.file("partners.csv")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "email,name").unwrap();
    for row in 0..ROWS {
        writeln!(file, "person.{row}@company{}.example,Person", row % 9_973).unwrap();
    }
    writeln!(file, "new@company.example,New").unwrap();
    file.flush().unwrap();
    drop(file);

    let (code, peak) = peak_of(&workplace, &["preview"]);
    assert_eq!(code, 0);
    println!("preview of a million partners: {} MiB", peak / 1024);
    assert!(peak <= 72 * 1024, "{peak} KiB");

    let list = std::fs::OpenOptions::new()
        .write(true)
        .open(workplace.file("partners.csv"));
    let list = list.unwrap();
    let length = list.metadata().unwrap().len();
    list.set_len(length - "new@company.example,New\n".len() as u64)
        .unwrap();
    let (code, peak) = peak_of(&workplace, &["send"]);
    assert_eq!(code, 65);
    println!(
        "telling what changed in a million rows: {} MiB",
        peak / 1024
    );
    assert!(peak <= 72 * 1024, "{peak} KiB");
    let refused = workplace.run(&["send"]);
    assert!(
        refused.stderr.contains("partners: rows: 1 removed\n"),
        "{refused:?}"
    );
}

/// `ACCESS_INVITE_MEBIBYTES` sets the size of the cell (default 256).
#[test]
#[ignore = "writes half a gigabyte; .ci/run calls it"]
fn f7_an_endless_cell_and_a_million_columns_fit_in_64_mib() {
    let mebibytes = crate::support::chance::number("ACCESS_INVITE_MEBIBYTES").unwrap_or(256);
    let workplace = Workplace::on_disk(1);
    let fill = |beginning: &str, unit: &[u8], times: u64, end: &str| {
        let file = std::fs::File::create(workplace.file("partners.csv")).unwrap();
        let mut file = std::io::BufWriter::new(file);
        file.write_all(beginning.as_bytes()).unwrap();
        for _ in 0..times {
            file.write_all(unit).unwrap();
        }
        file.write_all(end.as_bytes()).unwrap();
        file.flush().unwrap();
    };
    let mebibyte = vec![b'x'; 1024 * 1024];
    let cases: [(&str, &[u8], u64, &str); 4] = [
        ("email,name\nada@a.example,", &mebibyte, mebibytes, "\n"),
        ("email,name\nada@a.example,\"", &mebibyte, mebibytes, ""),
        ("email", b",note", 1_000_000, "\nada@a.example\n"),
        ("email,name\nada@a.example", b",x", 1_000_000, "\n"),
    ];

    for (beginning, unit, times, end) in cases {
        fill(beginning, unit, times, end);
        let (code, peak) = peak_of(&workplace, &["check"]);

        println!("{beginning:?}…: exit {code}, {} MiB", peak / 1024);
        assert_eq!(code, 65, "{beginning:?}");
        assert!(peak <= 64 * 1024, "{beginning:?}: {peak} KiB");
    }
}

/// A Maildir with this many mails, of which the first are reports about these messages, and the others are answers,
/// automatic replies and reports about messages of others. Mails are links to a few files.
fn fill_maildir(workplace: &Workplace, mails: usize, messages: &[(String, String)]) {
    let folders = ["Maildir/new", "Maildir/cur", "others"].map(|it| workplace.file(it));
    for folder in &folders {
        std::fs::create_dir_all(folder).unwrap();
    }
    let [new, cur, others] = folders;
    for (number, (address, id)) in messages.iter().enumerate() {
        let own = format!("{number}@");
        let text = report_with("exchange-online-en", address, id, &[("report-1@", &own)]);
        std::fs::write(new.join(format!("report.{number}")), text).unwrap();
    }
    let names = [
        "reply-by-a-person",
        "out-of-office-exchange",
        "postfix-unknown-user",
    ];
    for (number, name) in names.iter().cycle().take(300).enumerate() {
        let id = format!("{number:032x}@other.example");
        let text = report_with(name, "eve@other.example", &id, &[]);
        std::fs::write(others.join(number.to_string()), text).unwrap();
    }
    for number in messages.len()..mails {
        let file = others.join((number % 300).to_string());
        let folder = if number % 2 == 0 { &new } else { &cur };
        std::fs::hard_link(file, folder.join(format!("other.{number}"))).unwrap();
    }
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn a_hundred_thousand_mails_are_read_within_64_mib() {
    const REPORTS: usize = 1_000;
    let peaks = [1_500, 100_000].map(|mails| {
        let server = Server::accepting();
        let mut workplace = Workplace::on_disk(server.port());
        workplace.extra = "[bounces]\nmaildir = \"Maildir\"".into();
        workplace.configure();
        workplace.many_partners(REPORTS);
        assert_eq!(workplace.run(&["send"]).code, 0);
        let status = workplace.status();
        let invitations = status["invitations"].as_array().unwrap();
        let text =
            |it: &serde_json::Value| it.as_str().unwrap().trim_matches(['<', '>']).to_owned();
        let messages = invitations
            .iter()
            .map(|it| (text(&it["email"]), text(&it["message_id"])));
        fill_maildir(&workplace, mails, &messages.collect::<Vec<_>>());

        let begun = std::time::Instant::now();
        let (code, peak) = peak_of(&workplace, &["sync"]);

        assert_eq!(code, 1);
        println!(
            "{mails} mails: {} MiB, {:.1} s",
            peak / 1024,
            begun.elapsed().as_secs_f32()
        );
        assert!(begun.elapsed().as_secs() < 300);
        workplace.all_are("bounced");
        assert_eq!(workplace.run(&["sync"]).code, 0);
        peak
    });
    assert!(peaks[1] <= peaks[0] + 8 * 1024, "{peaks:?}");
    assert!(peaks[1] <= 64 * 1024, "{peaks:?}");
}

#[test]
#[ignore = "takes a minute; .ci/run calls it"]
fn a_report_is_matched_with_a_million_invitations_within_128_mib() {
    const INVITATIONS: i64 = 1_000_000;
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&["ada@fabrikam.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let ledger = Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    ledger.pragma_update(None, "synchronous", "OFF").unwrap();
    let added = ledger.execute(
        "WITH RECURSIVE partner (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM partner WHERE n + 1 < ?1
         )
         INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
            template_locale, state, generation, message_id, attempts, deferrals, repeat,
            created_at, updated_at, room)
         SELECT campaign, package_id, 'p' || n || '@d' || (n % 997) || '.example', occasion, package,
            'p' || n || '@d' || (n % 997) || '.example', 'en', 'accepted', n % 3,
            lower(hex(randomblob(16))) || '@contoso.example', 1, 0, 0, created_at, updated_at, x''
         FROM partner, invitation WHERE invitation.id = 1",
        [INVITATIONS],
    );
    assert_eq!(i64::try_from(added.unwrap()), Ok(INVITATIONS - 1));
    let (address, id): (String, String) = ledger
        .query_row(
            "SELECT address, message_id FROM invitation WHERE id = 777777",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    drop(ledger);
    let text = report_with("postfix-unknown-user", &address, &id, &[]);
    workplace.write("back.eml", &text);

    let begun = std::time::Instant::now();
    let (code, peak) = peak_of(&workplace, &["sync", "--bounces", "back.eml"]);

    println!(
        "a report among a million invitations, two million messages: {} MiB, {:.1} s",
        peak / 1024,
        begun.elapsed().as_secs_f32()
    );
    assert_eq!(code, 1);
    assert!(peak <= 128 * 1024, "{peak} KiB");
    let output = workplace.run(&["status", &address]);
    assert!(output.stdout.contains("bounced"), "{output:?}");
}
