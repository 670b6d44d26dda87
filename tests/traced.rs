//! System calls of a preview and of a send under strace, and full disks. Run by `.ci/run`, which
//! installs strace and may mount.

use std::path::PathBuf;
use std::process::Command;

use crate::support::smtp::{Server, Stage};
use crate::support::{Workplace, oracle};

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a_preview_opens_no_socket_and_writes_only_its_folder() {
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send", "--only", "ada@a.example"]).code, 0);
    let before = server.connections();

    let calls =
        "trace=socket,connect,open,openat,creat,mkdir,mkdirat,rename,renameat2,unlink,unlinkat";
    let traced = workplace.run_under(
        &["strace", "-f", "-qq", "-e", calls, "-o", "trace"],
        &["preview", "--out", "review"],
    );

    assert_eq!(traced.code, 0, "{traced:?}");
    assert_eq!(server.connections(), before);
    let trace = std::fs::read_to_string(workplace.file("trace")).unwrap();
    let mut writes = 0;
    for line in trace.lines() {
        assert!(
            !line.contains("connect(") && !line.contains("AF_INET"),
            "{line}"
        );
        let writing = ["O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "unlink"]
            .iter()
            .any(|it| line.contains(it));
        if writing && !line.contains("/dev/") && !line.contains("/proc/") {
            writes += 1;
            assert!(
                line.contains("\"review") || line.contains("/review/"),
                "{line}"
            );
        }
    }
    assert!(writes > 6, "the trace saw too little:\n{trace}");
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn arms_and_outcomes_are_synced_before_the_next_dot() {
    // What the log must show of three messages: the body, the log made durable, the dot, and the
    // outcome made durable, by a commit of its own or by the one before the next dot. (Twice where
    // the log begins anew and its header is made durable first.)
    for pipelining in ["off", "auto"] {
        let order = traced_order(pipelining);
        let mut once = order.replace("SS", "S");
        if pipelining == "auto" {
            once = once.replace("DB", "DSB");
        }
        assert_eq!(once, "BSDSBSDSBSDS", "{pipelining}: {order}");
    }
}

/// B: the last of a body, S: the log is on the disk, D: a dot, in their order from the first body.
fn traced_order(pipelining: &str) -> String {
    let server = Server::accepting();
    let mut workplace = Workplace::on_disk(server.port());
    workplace.smtp(&format!("connections = 1\npipelining = \"{pipelining}\""));
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);

    let calls = "trace=fsync,fdatasync,sendto,write,writev";
    let traced = workplace.run_under(
        &["strace", "-f", "-qq", "-y", "-e", calls, "-o", "trace"],
        &["send"],
    );

    assert_eq!(traced.code, 0, "{traced:?}");
    let trace = std::fs::read_to_string(workplace.file("trace")).unwrap();
    let mut order = String::new();
    for line in trace.lines() {
        let synced = line.contains("sync(") && line.contains("ledger.sqlite3-wal>");
        if synced {
            order.push('S');
        } else if line.contains("\".\\r\\n") {
            order.push('D');
        } else if line.contains("sendto(") && line.contains("From: ") {
            order.push('B');
        }
    }
    let from_the_first_body = order.split_off(order.find('B').unwrap());
    // Closing the ledger is not part of this test.
    let last_dot = from_the_first_body.rfind('D').unwrap();
    from_the_first_body[..=last_dot + 1].to_owned()
}

/// A small disk, removed at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mount.success(), "this test needs the right to mount");
        Self(folder)
    }

    fn fill(&self) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.0.path().join("filler")).unwrap();
        for size in [64 * 1024, 4096, 512, 1] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn a_disk_that_fills_up_records_outcomes_and_stops() {
    for (partners, connections, nth) in [(3_000, 4, 40), (110, 1, 0), (80, 1, 0), (20, 2, 0)] {
        fill_up(partners, connections, nth);
    }
}

/// Fills the disk while the reply to the `nth` final dot is outstanding.
fn fill_up(partners: usize, connections: usize, nth: usize) {
    let disk = SmallDisk::new();
    let (server, keeper) = Server::holding(Stage::Dot, nth);
    let mut workplace = Workplace::on_disk(server.port());
    workplace.smtp = format!("{}\nconnections = {connections}", workplace.smtp);
    workplace.configure();
    let addresses: Vec<_> = (0..partners).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let ledger = disk.0.path().join("ledger.sqlite3");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let named = format!("file = \"{}\"", ledger.display());
    workplace.write(
        "config.toml",
        &config.replace("file = \"ledger.sqlite3\"", &named),
    );
    assert_eq!(workplace.run(&["init"]).code, 0);

    let run = std::thread::scope(|scope| {
        let run = scope.spawn(|| workplace.run(&["send"]));
        keeper.wait();
        disk.fill();
        keeper.release();
        run.join().unwrap()
    });

    let sent = server.accepted().len();
    assert!(matches!(run.code, 0 | 74), "{run:?}");
    assert!(sent > nth, "the full disk stopped the run at once: {run:?}");
    if run.code == 74 {
        assert!(
            run.stderr.contains("no space") || run.stderr.contains("full"),
            "{run:?}"
        );
    }
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    // None of the armed rows is unknown.
    oracle::check(&workplace, &server, partners, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, partners, 0);
    assert_eq!(server.accepted().len(), partners);
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn on_a_full_disk_nothing_is_sent() {
    let disk = SmallDisk::new();
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&["ada@a.example"]);
    let ledger = disk.0.path().join("ledger.sqlite3");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let named = format!("file = \"{}\"", ledger.display());
    workplace.write(
        "config.toml",
        &config.replace("file = \"ledger.sqlite3\"", &named),
    );
    assert_eq!(workplace.run(&["init"]).code, 0);
    disk.fill();

    let run = workplace.run(&["send"]);

    assert_eq!(run.code, 74, "{run:?}");
    assert_eq!(server.connections(), 0);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, 1, 0);
}

/// A job with list and results on a small disk, and the ledger elsewhere.
fn on_small_disk(server: &Server, disk: &SmallDisk) -> (Workplace, PathBuf) {
    let results = disk.0.path().join("results.csv");
    let mut workplace = Workplace::on_disk(server.port());
    workplace.extra = format!("[results]\ncsv = \"{}\"", results.display());
    workplace.configure();
    (workplace, results)
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn a_full_disk_keeps_the_old_results_and_the_ledger() {
    let disk = SmallDisk::new();
    let server = Server::accepting();
    let (workplace, results) = on_small_disk(&server, &disk);
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let before = std::fs::read(&results).unwrap();
    let more: Vec<_> = (0..500).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&more.iter().map(String::as_str).collect::<Vec<_>>());
    disk.fill();

    let run = workplace.run(&["send"]);

    assert_eq!(run.code, 74, "{run:?}");
    assert!(run.stderr.contains("cannot write the results"), "{run:?}");
    assert_eq!(std::fs::read(&results).unwrap(), before);
    let left = std::fs::read_dir(disk.0.path()).unwrap().count();
    assert_eq!(left, 2, "the results and what fills the disk");
    oracle::check_settled(&workplace, &server, 501, 0);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    assert_eq!(workplace.run(&["send"]).code, 0);
    let after = std::fs::read_to_string(&results).unwrap();
    assert_eq!(after.matches(",accepted,").count(), 500);
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn results_are_synced_before_they_replace_the_old() {
    let server = Server::accepting();
    let mut workplace = Workplace::on_disk(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0);
    let results = || std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let before = results();
    let strace = ["strace", "-f", "-qq", "-y", "-o", "trace", "-e"];
    let traced = |what: &str| workplace.run_under(&[&strace[..], &[what]].concat(), &["send"]);

    // Killed right before the replacement.
    let killed = traced("inject=rename,renameat,renameat2:signal=SIGKILL");
    assert_ne!(killed.code, 0, "{killed:?}");
    assert_eq!(server.accepted().len(), 2);
    let now = results();
    assert!(
        now == before || now.matches(",accepted,").count() == 2,
        "{now}"
    );

    let whole = traced("trace=write,fsync,rename,renameat,renameat2");
    assert_eq!(whole.code, 0, "{whole:?}");
    assert_eq!(results().matches(",accepted,").count(), 2);
    let trace = std::fs::read_to_string(workplace.file("trace")).unwrap();
    let order: Vec<&str> = trace
        .lines()
        .filter(|it| it.contains(".unfinished") || it.contains("fsync("))
        .filter_map(|it| {
            ["write(", "fsync(", "rename"]
                .into_iter()
                .find(|call| it.contains(call))
        })
        .collect();
    let renamed = order.iter().position(|it| *it == "rename").unwrap();
    assert_eq!(
        order[renamed - 2..=renamed + 1],
        ["write(", "fsync(", "rename", "fsync("]
    );
    let names = std::fs::read_dir(workplace.path()).unwrap();
    let left = names.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".unfinished")
    });
    assert_eq!(left.count(), 0, "what the killed run left is still there");
}
