//! Who has asked for access: what `sync` and `send` read from Microsoft Entra, over a real socket.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::graph::{Graph, PACKAGE, assignment, error, page, request};
use crate::support::held::Held;
use crate::support::smtp::{Server, Stage};
use crate::support::token_endpoint::{Action, aadsts, json as answer};
use crate::support::{LINK, Output, Workplace};

const REQUESTS: &str = "/assignmentRequests";
const ASSIGNMENTS: &str = "/assignments";
const AT: &str = "2026-11-21T08:00:00Z";

/// A relay, a tenant and a job with `[entra]`.
struct Job {
    server: Server,
    graph: Graph,
    workplace: Workplace,
}

impl Job {
    fn new(entra: &str, partners: &[&str]) -> Self {
        let server = Server::accepting();
        let graph = Graph::start();
        let mut workplace = Workplace::new(server.port());
        workplace.short_templates();
        graph.configure(&mut workplace, Some(entra));
        workplace.partners(partners);
        Self {
            server,
            graph,
            workplace,
        }
    }

    /// A job that has invited these partners.
    fn invited(entra: &str, partners: &[&str]) -> Self {
        let job = Self::new(entra, partners);
        let output = job.workplace.run(&["send"]);
        assert_eq!(output.code, 0, "{output:?}");
        job
    }

    fn requests(&self, requests: &[Value]) {
        self.graph
            .change(|it| it["assignmentRequests"] = requests.into());
    }

    #[track_caller]
    fn sync(&self, code: i32) -> Output {
        let output = self.workplace.run(&["sync"]);
        assert_eq!(output.code, code, "{output:?}");
        output
    }

    /// Access, its time and whose it is, by address.
    fn access(&self) -> BTreeMap<String, String> {
        let status = self.workplace.status();
        let rows = status["invitations"].as_array().unwrap().iter();
        let text = |it: &Value| it.as_str().unwrap_or("null").to_owned();
        let access = |it: &Value| {
            let parts = ["access", "access_at", "access_by"];
            parts.map(|key| text(&it[key])).join(" ")
        };
        rows.map(|it| (text(&it["email"]), access(it))).collect()
    }

    /// How many of the requests to Graph have these targets.
    fn asked(&self, part: &str) -> usize {
        let targets = self.graph.targets();
        targets.iter().filter(|it| it.contains(part)).count()
    }

    /// Moves the time of every reading by so many milliseconds.
    fn shift_readings(&self, by: i64) {
        let ledger = Connection::open(self.workplace.file("ledger.sqlite3")).unwrap();
        let shifted = ledger.execute("UPDATE access_reading SET at = at + ?1", [by]);
        assert!(shifted.unwrap() > 0);
    }
}

fn ask(email: &str, state: &str) -> Value {
    request(PACKAGE, email, state, AT)
}

#[test]
fn sync_records_who_has_asked_and_status_and_results_show_it() {
    let partners = [
        "ada@a.example",
        "bob@b.example",
        "cyd@c.example",
        "dee@d.example",
        "eve@gmail.com",
        "fay@a.example",
        "gus@g.example",
    ];
    let mut job = Job::new("", &partners);
    job.workplace.extra += "[results]\ncsv = \"results.csv\"\n";
    job.workplace.configure();
    assert_eq!(job.workplace.run(&["send"]).code, 0);
    assert_eq!(job.access()["ada@a.example"], "null null null");
    let mut guest = ask("", "deliveryFailed");
    guest["requestor"] = json!({"email": null,
        "principalName": "dee_d.example#EXT#@contoso.onmicrosoft.com"});
    let mut removed = ask("cyd@c.example", "delivered");
    removed["completedDateTime"] = "2026-11-22T08:00:00Z".into();
    job.requests(&[
        ask("Ada@A.example", "delivered"),
        ask("bob@b.example", "denied"),
        removed,
        guest,
        ask("someone.else@gmail.com", "pendingApproval"),
    ]);
    let mut ended = assignment(PACKAGE, "cyd@c.example", "expired");
    ended["expiredDateTime"] = "2026-11-25T08:00:00Z".into();
    let assignments = json!([assignment(PACKAGE, "ada@a.example", "delivered"), ended]);
    job.graph.change(|it| it["assignments"] = assignments);

    let output = job.sync(1);

    let expected = "ada@a.example (spring): access none → granted\n\
        bob@b.example (spring): access none → denied\n\
        cyd@c.example (spring): access none → removed\n\
        dee@d.example (spring): access none → failed\n\
        5 requests for 1 package read: new for invited partners: 1 granted, 1 denied, 1 failed, 1 removed\n";
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        (expected, "")
    );
    let access = job.access();
    for (address, expected) in [
        ("ada@a.example", "granted 2026-11-21T08:00:00Z address"),
        ("bob@b.example", "denied 2026-11-21T08:00:00Z address"),
        ("cyd@c.example", "removed 2026-11-25T08:00:00Z address"),
        ("dee@d.example", "failed 2026-11-21T08:00:00Z address"),
        ("eve@gmail.com", "none null null"),
        ("fay@a.example", "granted 2026-11-21T08:00:00Z colleague"),
        ("gus@g.example", "none null null"),
    ] {
        assert_eq!(access[address], expected, "{address}");
    }
    // Nothing is new.
    let again = job.sync(0);
    assert!(
        again.stdout.contains("no change for invited partners"),
        "{again:?}"
    );
    assert_eq!(job.access(), access);
    // What the results say.
    assert_eq!(job.workplace.run(&["send"]).code, 0);
    let results = std::fs::read_to_string(job.workplace.file("results.csv")).unwrap();
    let ada = results.lines().find(|it| it.starts_with("ada@")).unwrap();
    assert!(
        ada.ends_with(",granted,2026-11-21T08:00:00Z,address"),
        "{ada}"
    );
    assert!(
        results
            .lines()
            .next()
            .unwrap()
            .ends_with(",invitation_access,invitation_access_at,invitation_access_by")
    );
    let text = job.workplace.run(&["status"]).stdout;
    let line = "access: 2 granted, 1 denied, 1 failed, 1 removed, 2 none (1 by a colleague), read ";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("access granted (a colleague)"), "{text}");
    let road = job.workplace.run(&["status", "cyd@c.example"]).stdout;
    let steps = "requested 2026-11-21 08:00 UTC, removed 2026-11-25 08:00 UTC, invited ";
    assert!(road.contains(steps), "{road}");

    // A request that has disappeared is none.
    job.requests(&[ask("bob@b.example", "denied")]);
    job.graph.change(|it| it["assignments"] = json!([]));
    let gone = job.sync(0);
    assert!(
        gone.stdout
            .contains("ada@a.example (spring): access granted → none"),
        "{gone:?}"
    );
    assert_eq!(job.access()["cyd@c.example"], "none null null");
    assert_eq!(job.access()["fay@a.example"], "none null null");
}

#[test]
fn the_report_in_json_names_packages_and_changes() {
    let job = Job::invited("", &["ada@a.example"]);
    job.requests(&[
        ask("ada@a.example", "submitted"),
        ask("x@y.example", "denied"),
    ]);

    let output = job.workplace.run(&["sync", "--format", "json"]);

    assert_eq!(output.code, 0, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        json["requests"],
        json!({
            "packages": [{"package": "project", "package_id": PACKAGE, "requests": 2, "error": null}],
            "changes": [{"campaign": "spring", "email": "ada@a.example", "package_id": PACKAGE,
                "from": "none", "to": "requested"}],
        })
    );
    assert_eq!(json["sources"], json!([]));
    // Files of reports alone are read without Graph.
    let asked = job.graph.requests();
    job.workplace
        .write("back.eml", "From: a@a.example\n\nHello\n");
    let files = job.workplace.run(&["sync", "--bounces", "back.eml"]);
    assert_eq!((files.code, job.graph.requests()), (0, asked));
}

/// What goes wrong, the target, how often it is answered well before, the exit code and words of the message.
type Fault = (
    &'static str,
    &'static str,
    usize,
    fn() -> Action,
    i32,
    &'static str,
);

#[test]
fn a_reading_that_breaks_off_leaves_what_was_there() {
    let faults: [Fault; 8] = [
        (
            "refused",
            REQUESTS,
            0,
            || error(403),
            78,
            "EntitlementManagement.Read.All",
        ),
        ("overloaded", REQUESTS, 1, || error(503), 75, "overloaded"),
        (
            "assignments refused",
            ASSIGNMENTS,
            0,
            || error(403),
            78,
            "/assignments",
        ),
        (
            "cut",
            REQUESTS,
            1,
            || answer(200, "{\"value\":[{"),
            78,
            "is not what Microsoft documents",
        ),
        (
            "other form",
            REQUESTS,
            0,
            || page(&json!([{"requestor": "ada"}]), None),
            78,
            "is not what Microsoft documents",
        ),
        (
            "foreign link",
            REQUESTS,
            1,
            || page(&json!([]), Some("https://evil.example/v1.0/x")),
            78,
            "another server",
        ),
        (
            "circle",
            REQUESTS,
            1,
            || {
                page(
                    &json!([]),
                    Some(
                        "/v1.0/identityGovernance/entitlementManagement/assignmentRequests?$filter=accessPackage/id%20eq%20'8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11'&$skiptoken=100",
                    ),
                )
            },
            78,
            "circle",
        ),
        (
            "token",
            "token",
            0,
            || {
                aadsts(
                    401,
                    "invalid_client",
                    7_000_215,
                    "Invalid client secret provided.",
                )
            },
            78,
            "AADSTS7000215",
        ),
    ];
    for (title, part, good, fault, code, words) in faults {
        let job = Job::invited("before_send = \"off\"", &["ada@a.example"]);
        job.requests(&[ask("ada@a.example", "submitted")]);
        job.sync(0);
        let before = job.access();
        let mut all: Vec<_> = (0..150)
            .map(|it| ask(&format!("p{it}@x.example"), "denied"))
            .collect();
        all.insert(0, ask("ada@a.example", "denied"));
        job.requests(&all);
        let mut answered = 0;
        job.graph.script(part, move |_| {
            answered += 1;
            (answered > good).then(fault)
        });

        let output = job.sync(code);

        assert!(output.stderr.contains(words), "{title}: {output:?}");
        assert!(
            output.stderr.contains("package project: "),
            "{title}: {output:?}"
        );
        assert_eq!(job.access(), before, "{title}");
    }
}

#[test]
fn a_package_that_the_tenant_lacks_is_an_error_and_not_an_empty_list() {
    let job = Job::invited("before_send = \"off\"", &["ada@a.example"]);
    job.graph.change(|it| it["accessPackages"] = json!([]));

    let output = job.sync(78);

    assert!(output.stderr.contains("it does not exist"), "{output:?}");
    assert_eq!(job.access()["ada@a.example"], "null null null");
}

#[test]
fn other_queries_and_hostile_answers_are_understood() {
    let job = Job::invited("", &["ada@a.example", "bob@b.example"]);
    let mut elsewhere = ask("bob@b.example", "denied");
    elsewhere["accessPackage"]["id"] = "11111111-2f0b-4f0e-9a67-3c6c1d9c0b11".into();
    let rows = json!([
        {"requestor": null},
        {"state": "approvedByMartians", "requestor": {"email": null}},
        ask("\u{202e}evil\nname@a.example", "denied"),
        ask("ada@a.example", "approvedByMartians"),
        elsewhere,
    ]);
    // Graph refuses `$select`, and the server ignores the filter.
    job.graph.refuse("assignmentRequests?$select", 400);
    job.graph.script("assignmentRequests?$expand=requestor,accessPackage&$filter", move |request| {
        (!request.head.contains("again")).then(|| {
            page(&rows, Some("/v1.0/identityGovernance/entitlementManagement/assignmentRequests?$expand=requestor,accessPackage&$filter=again"))
        })
    });
    job.graph.script("again", |_| {
        Some(page(
            &json!([ask("ada@a.example", "approvedByMartians")]),
            None,
        ))
    });

    let output = job.sync(0);

    assert!(
        output
            .stdout
            .starts_with("ada@a.example (spring): access none → requested\n"),
        "{output:?}"
    );
    assert_eq!(
        job.access()["ada@a.example"],
        "requested 2026-11-21T08:00:00Z address"
    );
    assert_eq!(job.access()["bob@b.example"], "none null null");
}

#[test]
fn requests_are_recorded_beside_a_run_that_is_sending() {
    let graph = Graph::start();
    graph.change(|it| it["assignmentRequests"] = json!([ask("ada@a.example", "denied")]));
    let held = Held::at(Stage::Dot, 0, |it| {
        graph.configure(it, Some("before_send = \"off\""));
        it.partners(&["ada@a.example"]);
    });

    let output = held.workplace.run(&["sync"]);

    assert_eq!(output.code, 1, "{output:?}");
    held.workplace.all_are("armed");
    let status = held.workplace.status();
    assert_eq!(status["invitations"][0]["access"], "denied");
    let (_server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    workplace.all_are("accepted");
    assert_eq!(workplace.status()["invitations"][0]["access"], "denied");
}

#[test]
fn who_has_asked_is_not_invited_if_so_configured() {
    let job = Job::new(
        "skip_if_requested = true",
        &["ada@a.example", "bob@a.example", "cyd@c.example"],
    );
    job.requests(&[
        ask("Ada@a.example", "submitted"),
        ask("cyd@c.example", "canceled"),
    ]);
    // A preview reads nothing.
    let preview = job.workplace.run(&["preview"]);
    assert!(preview.stdout.starts_with("3 messages"), "{preview:?}");

    assert_eq!(job.workplace.run(&["send"]).code, 0);

    // A colleague's request is not theirs, and one that was taken back is none.
    let mailed = job.server.accepted();
    let mut mailed: Vec<_> = mailed.iter().flat_map(|it| it.recipients.clone()).collect();
    mailed.sort_unstable();
    assert_eq!(mailed, ["bob@a.example", "cyd@c.example"]);
    let preview = job.workplace.run(&["preview"]);
    assert!(
        preview
            .stdout
            .contains("not mailed: ada@a.example (has asked for access (requested))"),
        "{preview:?}"
    );
    // Within an hour nothing is read again.
    job.requests(&[]);
    assert_eq!(job.workplace.run(&["send"]).code, 0);
    assert_eq!((job.asked(REQUESTS), job.server.accepted().len()), (1, 2));
    // After it, and if the clock was ahead, everything is.
    job.requests(&[ask("ada@a.example", "denied")]);
    for (by, newcomer, asked) in [
        (-3_600_001, "dee@d.example", 2),
        (7_200_000, "eve@e.example", 3),
    ] {
        job.workplace.partners(&["ada@a.example", newcomer]);
        job.shift_readings(by);
        assert_eq!(job.workplace.run(&["send"]).code, 0);
        let mailed = job.server.accepted().len();
        assert_eq!((job.asked(REQUESTS), mailed), (asked, asked + 1));
    }
}

#[test]
fn without_knowing_who_has_asked_nobody_is_invited() {
    for (part, status, code, words) in [
        (REQUESTS, 503, 75, "overloaded"),
        (ASSIGNMENTS, 403, 78, "EntitlementManagement.Read.All"),
    ] {
        let job = Job::new("skip_if_requested = true", &["ada@a.example"]);
        job.graph.refuse(part, status);

        let output = job.workplace.run(&["send"]);

        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
        assert!(
            output
                .stderr
                .contains("it is not known who has asked for access"),
            "{output:?}"
        );
        assert!(output.stderr.contains("nothing was sent"), "{output:?}");
        assert_eq!(job.server.connections(), 0);
        assert!(job.workplace.states().is_empty());
    }
}

#[test]
fn nothing_is_read_before_mail_that_does_not_depend_on_it() {
    let job = Job::invited("", &["ada@a.example"]);
    assert_eq!(job.asked(REQUESTS), 0);
    let no_one = Job::invited("skip_if_requested = true", &["ada@a.example"]);
    let asked = no_one.asked(REQUESTS);
    no_one.shift_readings(-7_200_000);
    assert_eq!(no_one.workplace.run(&["send"]).code, 0);
    assert_eq!((asked, no_one.asked(REQUESTS)), (1, 1));
}

/// The package with this number, and its link.
fn package(number: u64) -> (String, String) {
    let id = format!("8e1f8f5a-2f0b-4f0e-9a67-{number:012}");
    let link = LINK.replace(PACKAGE, &id);
    (id, link)
}

#[test]
fn five_thousand_partners_in_three_packages_take_few_requests_and_little_memory() {
    let graph = Graph::start();
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.short_templates();
    graph.configure(&mut workplace, Some("before_send = \"off\""));
    for number in [2, 3] {
        let (_, link) = package(number);
        let package = format!("[packages.p{number}]\nlink = \"{link}\"\nname = \"{number}\"\n");
        workplace.extra += &package;
    }
    workplace.configure();
    let name = |it: usize| ["project", "p2", "p3"][it % 3];
    let row = |it: usize| format!("p{it}@a{}.example,{}\n", it / 10, name(it));
    let rows: Vec<_> = (0..5_000).map(row).collect();
    let list = format!("email,package\n{}", rows.concat());
    workplace.write("partners.csv", &list);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let ids = [PACKAGE.to_owned(), package(2).0, package(3).0];
    let requests: Vec<_> = (0..400)
        .map(|it| {
            request(
                &ids[it % 3],
                &format!("p{it}@a{}.example", it / 10),
                "delivering",
                AT,
            )
        })
        .collect();
    graph.change(|it| it["assignmentRequests"] = requests.into());
    let before = graph.targets().len();

    let mut run = workplace.start(&["sync"]);
    let mut peak = 0;
    while run.is_running() {
        peak = peak.max(run.peak().unwrap_or_default());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = run.wait();

    assert_eq!(output.code, 0, "{output:?}");
    let conclusion = "400 requests for 3 packages read: new for invited partners: 400 requested\n";
    assert!(output.stdout.ends_with(conclusion), "{output:?}");
    // Two pages of requests and one of assignments for each package.
    assert_eq!(graph.targets().len() - before, 3 * 3);
    assert!(peak < 64 * 1024, "{peak} KiB");
    let status = workplace.status();
    let rows = status["invitations"].as_array().unwrap().iter();
    let by: Vec<_> = rows.filter_map(|it| it["access_by"].as_str()).collect();
    let own = by.iter().filter(|it| **it == "address").count();
    // Ten partners share a domain, three or four of them a package.
    assert_eq!((own, by.len()), (400, 400));
}
