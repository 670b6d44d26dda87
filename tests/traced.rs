//! What a preview asks of the system, as strace sees it: no socket, and nothing opened for
//! writing outside its folder. Run by `.ci/run`, which installs strace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use support::Workplace;
use support::smtp::Server;

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a_preview_makes_no_socket_and_writes_only_into_its_folder() {
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send", "--only", "ada@a.example"]).code, 0);
    let before = server.connections();

    let traced = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=socket,connect,open,openat,creat,mkdir,mkdirat,rename,renameat2,unlink,unlinkat",
            "-o",
            "trace",
        ])
        .arg(env!("CARGO_BIN_EXE_access-invite"))
        .args(["preview", "--out", "review"])
        .current_dir(workplace.path())
        .output()
        .unwrap();

    assert!(traced.status.success(), "{traced:?}");
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
