//! `packages`: what it prints about a tenant, against a scripted Microsoft Graph and against an `OData` server
//! made of Microsoft's metadata.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::graph::{self, Graph, page};
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::TOKEN;
use crate::support::sheet::Sheet;
use crate::support::smtp::Server;
use crate::support::token_endpoint::{TokenEndpoint, aadsts, token};
use crate::support::{LINK, Workplace};
use access_invite::config::Config;
use access_invite::link::AccessPackageLink;

const LISTED: &str = "/v1.0/identityGovernance/entitlementManagement/accessPackages";

/// The id of the package with this number.
fn id(number: u64) -> String {
    format!("8e1f8f5a-2f0b-4f0e-9a67-{number:012}")
}

/// A package that partners outside the directory can request.
fn package(number: u64, name: &str) -> Value {
    json!({
        "id": id(number),
        "displayName": name,
        "description": "Plans & documents",
        "isHidden": true,
        "catalog": {
            "id": "c0000000-0000-4000-8000-000000000001",
            "displayName": "Partners",
            "catalogType": "userManaged",
            "state": "published",
            "isExternallyVisible": true,
        },
        "assignmentPolicies": [{
            "id": "b0000000-0000-4000-8000-000000000001",
            "displayName": "Partners",
            "allowedTargetScope": "allExternalUsers",
            "specificAllowedTargets": [],
            "requestorSettings": { "enableTargetsToSelfAddAccess": true },
        }],
    })
}

/// The same with another value in this place.
fn with(mut package: Value, pointer: &str, value: Value) -> Value {
    *package.pointer_mut(pointer).unwrap() = value;
    package
}

/// One package of each kind.
fn tenant() -> Vec<Value> {
    let scope = "/assignmentPolicies/0/allowedTargetScope";
    let self_request = "/assignmentPolicies/0/requestorSettings/enableTargetsToSelfAddAccess";
    let visible = with(package(1, "Harbour plans"), "/isHidden", json!(false));
    let internal = with(
        package(3, "Harbour plans"),
        "/catalog/isExternallyVisible",
        json!(false),
    );
    vec![
        visible,
        package(2, "École du port – « Été »"),
        with(internal, "/catalog/displayName", json!("Internal")),
        with(
            package(4, "Archive"),
            "/catalog/state",
            json!("unpublished"),
        ),
        with(package(5, "Employees"), scope, json!("allMemberUsers")),
        with(package(6, "Guests"), scope, json!("allDirectoryUsers")),
        with(package(7, "Closed"), self_request, json!(false)),
        with(package(8, "Future"), scope, json!("allMartians")),
        with(package(9, "港湾計画"), "/catalog", Value::Null),
    ]
}

/// A tenant with these packages, which come in pages of this length.
fn tenant_with(packages: Vec<Value>, length: usize) -> Graph {
    let graph = Graph::start();
    graph.script("/accessPackages", move |request| {
        let skip = request.head.split(['=', ' ']).nth(2);
        let skip = skip.and_then(|it| it.parse().ok()).unwrap_or(0);
        let end = (skip + length).min(packages.len());
        let origin = request.header("host").unwrap();
        let next = format!("http://{origin}{LISTED}?skip={end}");
        let next = (end < packages.len()).then_some(next.as_str());
        Some(page(&json!(packages[skip..end]), next))
    });
    graph
}

/// A folder with this configuration; without a list and a ledger.
fn newcomer(configuration: &str) -> Workplace {
    let workplace = Workplace::new(1);
    for entry in std::fs::read_dir(workplace.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    workplace.write("config.toml", configuration);
    workplace
}

/// The same with the table `[microsoft]` for this tenant, and nothing else.
fn newcomer_of(graph: &Graph) -> Workplace {
    with_table(&graph.url(), &graph.url())
}

fn with_table(login: &str, url: &str) -> Workplace {
    let mut workplace = newcomer("");
    graph::configure(&mut workplace, login, url, None);
    workplace.write("config.toml", &workplace.extra);
    workplace
}

/// Runs `packages` with these arguments; it must succeed without a message.
#[track_caller]
fn packages(workplace: &Workplace, arguments: &[&str]) -> String {
    let output = workplace.run(&[&["packages"], arguments].concat());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    output.stdout
}

#[track_caller]
fn parsed(workplace: &Workplace, arguments: &[&str]) -> Value {
    let json = packages(workplace, &[&["--format", "json"], arguments].concat());
    serde_json::from_str(&json).unwrap()
}

/// A whole configuration with these packages.
fn configuration_with(packages: &str) -> String {
    format!(
        "campaign = \"spring\"\n[sender]\nfrom = \"access@woodgrove.example\"\norganization = \"Woodgrove\"\n[partners]\nfile = \"partners.csv\"\n[smtp]\nhost = \"smtp.woodgrove.example\"\n[ledger]\nfile = \"ledger.sqlite3\"\n[templates]\ndirectory = \"{}/templates\"\n{packages}",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn loaded(folder: &Path, packages: &str) -> Config {
    let path = folder.join("pasted.toml");
    std::fs::write(&path, configuration_with(packages)).unwrap();
    Config::load(&path).unwrap_or_else(|error| panic!("{error}:\n{packages}"))
}

#[test]
fn a_newcomer_sees_every_package_with_its_link_and_who_can_request_it() {
    let graph = tenant_with(tenant(), 4);
    let workplace = newcomer_of(&graph);
    let before = workplace.bytes();

    let text = packages(&workplace, &[]);
    insta::assert_snapshot!("packages_as_text", text);
    let json = packages(&workplace, &["--format", "json"]);
    insta::assert_snapshot!("packages_as_json", json);
    let toml = packages(&workplace, &["--format", "toml"]);
    insta::assert_snapshot!("packages_as_toml", toml);

    // Nothing but a link is wider than a narrow terminal, and each link is on one line.
    let wide = text.lines().filter(|it| it.chars().count() > 60);
    let links: Vec<&str> = wide.collect();
    assert_eq!(links.len(), 9, "{links:?}");
    for link in links {
        AccessPackageLink::parse(link.trim(), &[]).unwrap();
    }
    assert_eq!(workplace.bytes(), before);
}

#[test]
fn pasted_toml_is_a_configuration_with_the_same_links() {
    let graph = tenant_with(tenant(), 100);
    let workplace = newcomer_of(&graph);
    let toml = packages(&workplace, &["--format", "toml"]);
    let json = parsed(&workplace, &[]);

    let config = loaded(workplace.path(), &toml);

    let rows = json["packages"].as_array().unwrap();
    assert_eq!(config.packages.len(), rows.len());
    for (package, row) in config.packages.iter().zip(rows) {
        assert_eq!(package.key, row["key"]);
        assert_eq!(package.link.as_str(), row["link"]);
        assert_eq!(package.link.package_id().to_string(), row["id"]);
        assert_eq!(package.link.directory_hint(), "Fabrikam.onmicrosoft.com");
    }
    // The whole configuration, with its packages, is also one for `packages`.
    workplace.write(
        "config.toml",
        &configuration_with(&format!("{toml}{}", workplace.extra)),
    );
    assert_eq!(parsed(&workplace, &[]), json);
}

#[test]
fn a_search_shows_the_packages_whose_names_have_the_words_and_keeps_their_keys() {
    let graph = tenant_with(tenant(), 100);
    let workplace = newcomer_of(&graph);
    let found = |text: &str| -> Vec<String> {
        let json = parsed(&workplace, &["--search", text]);
        let rows = json["packages"].as_array().unwrap().iter();
        rows.map(|it| it["key"].as_str().unwrap().to_owned())
            .collect()
    };

    assert_eq!(found("PLANS harbour"), ["harbour-plans", "harbour-plans-2"]);
    assert_eq!(found("ecole"), ["ecole-du-port-ete"]);
    assert_eq!(found("港湾"), ["package-8e1f8f5a"]);
    assert_eq!(found(""), found(" "));
    assert_eq!(found("").len(), 9);
    assert_eq!(found("harbour archive"), [""; 0]);
    assert_eq!(
        packages(&workplace, &["--search", "pier\x1b[31m"]),
        "Fabrikam.onmicrosoft.com: none of 9 access packages has a name with `pier\u{fffd}[31m`\n"
    );
    let some = packages(&workplace, &["--search", "harbour"]);
    // The key of a package depends on all packages, not on those that are shown.
    let alike = tenant_with(vec![package(1, "Pier"), package(2, "Pier!")], 100);
    let json = parsed(&newcomer_of(&alike), &["--search", "pier!"]);
    assert_eq!(json["packages"][0]["key"], "pier-2");
    let summary = "\nFabrikam.onmicrosoft.com: 2 of 9 access packages with `harbour` in the name\npartners outside the directory can request 1 of them\n";
    assert!(some.ends_with(summary), "{some}");
}

#[test]
fn an_empty_tenant_is_no_error() {
    let graph = tenant_with(Vec::new(), 100);
    let workplace = newcomer_of(&graph);

    let none = "Fabrikam.onmicrosoft.com has no access packages\n";
    assert_eq!(packages(&workplace, &[]), none);
    assert_eq!(packages(&workplace, &["--search", "x"]), none);
    assert_eq!(
        packages(&workplace, &["--format", "toml"]),
        format!("# {none}")
    );
    assert_eq!(
        parsed(&workplace, &[]),
        json!({ "tenant": "Fabrikam.onmicrosoft.com", "packages": [] })
    );
}

#[test]
fn two_thousand_packages_come_in_pages_and_have_different_keys() {
    let many: Vec<Value> = (0..2_000).map(|it| package(it, "Harbour plans")).collect();
    let graph = tenant_with(many, 100);
    let workplace = newcomer_of(&graph);

    let json = parsed(&workplace, &[]);

    let rows = json["packages"].as_array().unwrap();
    let distinct = |key: &str| {
        let values = rows.iter().map(|it| it[key].as_str().unwrap());
        values.collect::<BTreeSet<_>>().len()
    };
    for key in ["key", "id", "link"] {
        assert_eq!(distinct(key), 2_000, "{key}");
    }
    // The token, the tenant, and the pages.
    assert_eq!(graph.requests(), 1 + 1 + 20);
    let text = packages(&workplace, &[]);
    assert!(
        text.ends_with("partners outside the directory can request 2000 of them\n"),
        "{}",
        text.lines().last().unwrap()
    );
}

#[test]
fn hostile_names_are_data_in_every_format() {
    let names = [
        "\x1b[31mred\x07\r\nhidden: no",
        "\u{202e}evil\u{2066}\u{200f} right to left שלום",
        "<script>alert(1)</script> & \"quotes\" \\ 'single'",
        "plans\"\n[smtp]\nhost = \"evil.example\"\n# ",
        "\"\"\"\u{7f}\u{9b}\u{2028}\0",
        "   ",
        "",
        "{{ link }} {% raw %}",
        "\u{10ffff}\u{e000}\u{feff}",
    ];
    let numbered = names.iter().zip(1..);
    let hostile: Vec<Value> = numbered
        .map(|(name, number)| {
            let catalog = "/catalog/displayName";
            with(package(number, name), catalog, json!(name))
        })
        .collect();
    let graph = tenant_with(hostile, 100);
    let workplace = newcomer_of(&graph);

    // Every run scans its output for control characters.
    let text = packages(&workplace, &[]);
    assert_eq!(text.matches("\n  https://").count(), names.len(), "{text}");
    let json = parsed(&workplace, &[]);
    let shown: BTreeSet<&str> = json["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(shown, BTreeSet::from(names));
    let toml = packages(&workplace, &["--format", "toml"]);
    let config = loaded(workplace.path(), &toml);
    assert_eq!(config.packages.len(), names.len());
    assert_eq!(config.smtp.host, "smtp.woodgrove.example");
}

#[test]
fn links_are_those_of_the_cloud_and_of_no_other_place() {
    let graph = tenant_with(vec![package(1, "Plans"), json!({ "id": "no-guid" })], 100);
    let link = |cloud: &str| {
        let workplace = newcomer_of(&graph);
        let configuration = format!("{}cloud = \"{cloud}\"\n", workplace.extra);
        workplace.write("config.toml", &configuration);
        let output = workplace.run(&["packages", "--format", "toml"]);
        assert_eq!(output.code, 0, "{output:?}");
        let links = output.stdout.lines().filter(|it| it.contains("link = "));
        let links: Vec<String> = links.map(str::to_owned).collect();
        (links, output.stderr)
    };

    let rest = format!("/@Fabrikam.onmicrosoft.com#/access-packages/{}\"", id(1));
    let (links, messages) = link("global");
    assert_eq!(
        links,
        [format!("link = \"https://myaccess.microsoft.com{rest}")]
    );
    assert!(
        messages.contains("1 access package without a GUID"),
        "{messages}"
    );
    for cloud in ["us-gov", "us-gov-dod"] {
        let government = format!("link = \"https://myaccess.microsoft.us{rest}");
        assert_eq!(link(cloud).0, [government]);
    }
    let (links, messages) = link("china");
    assert_eq!(links, ["# link = \"\""]);
    assert!(messages.contains("no links are printed"), "{messages}");
}

#[test]
fn what_prevents_the_list_is_said_with_its_fix() {
    let mut sheet = Sheet::default();
    let mut note = |title: &str, workplace: &Workplace, code: i32| {
        let output = workplace.run(&["packages"]);
        assert_eq!(output.code, code, "{title}: {output:?}");
        assert_eq!(output.stdout, "", "{title}");
        sheet.note(title, workplace, &output);
    };
    let workplace = newcomer("");
    std::fs::remove_file(workplace.file("config.toml")).unwrap();
    note("no configuration", &workplace, 78);
    note("an empty configuration", &newcomer(""), 78);
    let other = "[smtp]\nnonsense = 1\n[packages]\n";
    note("no table [microsoft]", &newcomer(other), 78);
    note(
        "half a table",
        &newcomer("[microsoft]\ntenant = \"woodgrove.onmicrosoft.com\"\n"),
        78,
    );
    note(
        "no TOML",
        &newcomer("[microsoft]\ntenant = woodgrove\n"),
        78,
    );

    let workplace = with_table("http://127.0.0.1:9", "http://127.0.0.1:9");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(workplace.file("client-secret"), open).unwrap();
    note("a secret that everyone can read", &workplace, 77);
    let wrong = TokenEndpoint::start(|_| {
        let text = "Invalid client secret provided.";
        aadsts(401, "invalid_client", 7_000_215, text)
    });
    let workplace = with_table(&wrong.url(), &wrong.url());
    note("a wrong secret", &workplace, 78);

    for (title, part) in [
        ("no permission for the tenant", "/organization"),
        ("no permission for the packages", "/accessPackages"),
    ] {
        let graph = Graph::start();
        graph.refuse(part, 403);
        note(title, &newcomer_of(&graph), 78);
    }
    let graph = Graph::start();
    graph.change(|it| it["organization"] = json!([{ "id": "x" }]));
    note("a tenant without domains", &newcomer_of(&graph), 78);
    let graph = Graph::start();
    graph.script("/accessPackages", |_| Some(page(&json!("none"), None)));
    note("another answer", &newcomer_of(&graph), 78);
    insta::assert_snapshot!("packages_errors", sheet.text());
}

#[test]
fn a_ca_file_that_everyone_can_change_is_a_warning() {
    let graph = tenant_with(Vec::new(), 100);
    let workplace = newcomer_of(&graph);
    let configuration = format!("{}ca_file = \"ca.pem\"\n", workplace.extra);
    workplace.write("config.toml", &configuration);
    workplace.write("ca.pem", &Pki::new().ca_pem);
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(workplace.file("ca.pem"), open).unwrap();

    let output = workplace.run(&["packages"]);

    assert_eq!(output.code, 0, "{output:?}");
    let warning = "warning: the file of `microsoft.ca_file` `ca.pem`";
    assert!(output.stderr.starts_with(warning), "{output:?}");
}

#[test]
fn policies_that_an_expansion_leaves_out_are_read_from_the_list_of_policies() {
    let without = |number, name| with(package(number, name), "/assignmentPolicies", json!([]));
    let closed = "/assignmentPolicies/0/requestorSettings/enableTargetsToSelfAddAccess";
    let graph = tenant_with(
        vec![
            without(1, "Open"),
            without(2, "Closed"),
            without(3, "Unread"),
            with(package(4, "Half"), closed, json!(false)),
            package(5, "Complete"),
        ],
        100,
    );
    graph.script("assignmentPolicies?$filter", |request| {
        let (open, refused) = (
            [id(1), id(4)].iter().any(|it| request.head.contains(it)),
            request.head.contains(&id(3)),
        );
        Some(match (open, refused) {
            (true, _) => page(&json!([graph::policy("allExternalUsers", true)]), None),
            (_, true) => graph::error(400),
            _ => page(&json!([]), None),
        })
    });
    let workplace = newcomer_of(&graph);

    let output = workplace.run(&["packages", "--format", "json"]);

    assert_eq!(output.code, 0, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let rows = json["packages"].as_array().unwrap().iter();
    let found: Vec<_> = rows
        .map(|it| {
            (
                it["name"].as_str().unwrap(),
                it["outside_partners"].as_bool(),
                it["reasons"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Closed", Some(false), 1),
            ("Complete", Some(true), 0),
            ("Half", Some(true), 0),
            ("Open", Some(true), 0),
            ("Unread", None, 1),
        ]
    );
    assert!(
        output
            .stderr
            .starts_with("warning: not checked: whether some packages have further policies: "),
        "{output:?}"
    );
    // Only what is shown, and is not open already, is read again.
    let asked = graph.targets().len();
    workplace.run(&["packages", "--search", "complete"]);
    assert_eq!(graph.targets().len(), asked + 2);
}

#[test]
fn an_unreachable_graph_is_69() {
    let closed = ClosedPort::reserve();
    let tokens = TokenEndpoint::start(|_| token(TOKEN, 3599));
    let workplace = with_table(
        &tokens.url(),
        &format!("http://127.0.0.1:{}", closed.port()),
    );

    let output = workplace.run(&["packages"]);

    assert_eq!((output.code, output.stdout.as_str()), (69, ""));
    let message = "cannot read /organization from Microsoft Graph (127.0.0.1): connection refused";
    assert!(output.stderr.contains(message), "{output:?}");
}

/// The metadata of Microsoft Graph, which is not a part of this repository.
fn metadata() -> Option<PathBuf> {
    let named = std::env::var_os("ACCESS_INVITE_METADATA").map(PathBuf::from);
    let default = "../shared/data/graph-entitlement.csdl.xml";
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(default));
    if path.is_file() {
        return Some(path.canonicalize().unwrap());
    }
    println!(
        "skipped: {} does not exist; ACCESS_INVITE_METADATA names the file",
        path.display()
    );
    None
}

/// The answer about the tenant.
fn organization() -> Value {
    json!({ "value": [{
        "id": "dddddddd-0000-4000-8000-000000000003",
        "displayName": "Contoso",
        "verifiedDomains": [{ "name": "Fabrikam.onmicrosoft.com", "isInitial": true }],
    }]})
}

/// `fe-mockserver-core` of npm with Microsoft's metadata; it ends when it is dropped.
struct ODataServer {
    process: Child,
    url: String,
    /// Method and URL of each request.
    requests: Receiver<String>,
}

impl ODataServer {
    /// Serves the rows of these files.
    fn start(metadata: &Path, folder: &Path, rows: &[(&str, Value)]) -> Self {
        for (name, rows) in rows {
            let path = folder.join(format!("{name}.json"));
            std::fs::write(path, rows.to_string()).unwrap();
        }
        let process = Command::new("node")
            .arg("graph.mjs")
            .args([metadata, folder])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/graph"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = process.unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines.find_map(|it| it.parse::<u16>().ok());
        let (sender, requests) = channel();
        std::thread::spawn(move || lines.try_for_each(|it| sender.send(it)));
        Self {
            process,
            url: format!("http://127.0.0.1:{}", port.unwrap()),
            requests,
        }
    }

    /// Ends it and returns the requests, each of which only read.
    fn finish(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let requests: Vec<String> = self.requests.iter().collect();
        for request in &requests {
            let token = request.starts_with("POST /contoso.onmicrosoft.com/oauth2/v2.0/token");
            assert!(token || request.starts_with("GET "), "{request}");
        }
        requests
    }
}

impl Drop for ODataServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs fe-mockserver-core; .ci/run calls it"]
fn an_odata_server_with_microsofts_metadata_serves_the_packages() {
    let Some(metadata) = metadata() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut rows = tenant();
    // The server replaces what is missing by an example.
    rows.retain(|it| !it["catalog"].is_null());
    rows.extend((100..350).map(|it| package(it, &format!("Berth {it}"))));
    let files = [
        ("accessPackages", Value::from(rows.clone())),
        ("organization", organization()),
    ];
    let server = ODataServer::start(&metadata, folder.path(), &files);
    let workplace = with_table(&server.url, &server.url);

    let json = parsed(&workplace, &[]);
    let toml = packages(&workplace, &["--format", "toml"]);

    // What the scripted Graph serves gives the same list.
    let scripted = tenant_with(rows, 100);
    let workplace = newcomer_of(&scripted);
    let rows_of = |json: &Value| json["packages"].as_array().unwrap().clone();
    let (found, expected) = (rows_of(&json), rows_of(&parsed(&workplace, &[])));
    assert_eq!((found.len(), expected.len()), (258, 258));
    for (row, expected) in found.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(toml, packages(&workplace, &["--format", "toml"]));
    let requests = server.finish();
    let path = format!("GET {LISTED}?$expand=catalog,assignmentPolicies");
    let pages = requests.iter().filter(|it| it.starts_with(&path));
    assert_eq!(pages.count(), 2 * 3, "{requests:?}");
}

#[test]
#[ignore = "needs fe-mockserver-core; .ci/run calls it"]
fn an_odata_server_with_microsofts_metadata_serves_the_check() {
    let Some(metadata) = metadata() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rows = tenant();
    let policies = rows.iter().flat_map(|package| {
        let policies = package["assignmentPolicies"].as_array().unwrap().iter();
        policies.enumerate().map(|(number, policy)| {
            let mut policy = policy.clone();
            policy["id"] = format!("{}-{number}", package["id"].as_str().unwrap()).into();
            policy["accessPackage"] = json!({ "id": package["id"] });
            policy
        })
    });
    let files = [
        ("assignmentPolicies", policies.collect()),
        ("accessPackages", Value::from(rows)),
        ("connectedOrganizations", json!([])),
        ("organization", organization()),
    ];
    let server = ODataServer::start(&metadata, folder.path(), &files);
    let mut workplace = Workplace::new(1);
    graph::configure(&mut workplace, &server.url, &server.url, None);
    workplace.partners(&["ada@fabrikam.example"]);
    let configured = [
        ("good", 2),
        ("internal", 3),
        ("employees", 5),
        ("closed", 7),
        ("absent", 99),
    ];
    let check = |(name, number): (&str, u64)| {
        let link = format!(
            "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/{}",
            id(number)
        );
        let package = format!("[packages.{name}]\nlink = \"{link}\"\nname = \"{name}\"\n");
        let configuration = configuration_with(&format!("{package}{}", workplace.extra));
        workplace.write("config.toml", &configuration);
        let output = workplace.run(&["check", "--entra", "--format", "json"]);
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|it| it["check"] == "entra");
        let about = findings.map(|it| {
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            (text("severity"), text("what"))
        });
        (output.code, about.collect::<Vec<_>>())
    };

    for (package, expected) in configured.into_iter().zip([
        None,
        Some("is not enabled for external users"),
        Some("it has no policy for users not in the directory"),
        Some("self-request is off"),
        Some("has no access package with the id"),
    ]) {
        let (code, findings) = check(package);
        let errors: Vec<_> = findings.iter().filter(|it| it.0 == "error").collect();
        assert_eq!(
            code,
            if expected.is_some() { 78 } else { 0 },
            "{findings:?}"
        );
        match (expected, &errors[..]) {
            (None, []) => {}
            (Some(expected), [(_, what)]) => assert!(what.contains(expected), "{what}"),
            _ => panic!("{package:?}: {findings:?}"),
        }
        // The server grants no optional permission.
        for permission in ["Policy.Read.All", "Policy.Read.AuthenticationMethod"] {
            let is_named = |it: &(String, String)| it.0 == "note" && it.1.contains(permission);
            assert!(findings.iter().any(is_named), "{permission}: {findings:?}");
        }
    }
    let requests = server.finish();
    let filtered = |it: &String| it.contains("assignmentPolicies?$filter=accessPackage/id eq '");
    assert!(requests.iter().any(filtered), "{requests:?}");
}

/// What the stored metadata lacks: requests, as Microsoft's metadata declares them (August 2026).
const REQUEST_TYPE: &str = r#"<EntityType Name="accessPackageAssignmentRequest">
<Key><PropertyRef Name="id" /></Key>
<Property Name="id" Type="Edm.String" Nullable="false" />
<Property Name="completedDateTime" Type="Edm.DateTimeOffset" />
<Property Name="createdDateTime" Type="Edm.DateTimeOffset" />
<Property Name="justification" Type="Edm.String" />
<Property Name="requestType" Type="Edm.String" />
<Property Name="schedule" Type="graph.entitlementManagementSchedule" />
<Property Name="state" Type="Edm.String" />
<Property Name="status" Type="Edm.String" />
<NavigationProperty Name="accessPackage" Type="graph.accessPackage" />
<NavigationProperty Name="assignment" Type="graph.accessPackageAssignment" />
<NavigationProperty Name="requestor" Type="graph.accessPackageSubject" />
</EntityType>
<EntityContainer Name="GraphService">
<EntitySet Name="assignmentRequests" EntityType="microsoft.graph.accessPackageAssignmentRequest">
<NavigationPropertyBinding Path="accessPackage" Target="accessPackages" />
</EntitySet>"#;

#[test]
#[ignore = "needs fe-mockserver-core; .ci/run calls it"]
fn an_odata_server_with_microsofts_metadata_serves_the_requests() {
    let Some(metadata) = metadata() else { return };
    let folder = tempfile::tempdir().unwrap();
    let declared = std::fs::read_to_string(metadata).unwrap();
    let container = r#"<EntityContainer Name="GraphService">"#;
    let metadata = folder.path().join("metadata.xml");
    std::fs::write(&metadata, declared.replace(container, REQUEST_TYPE)).unwrap();
    let at = "2026-11-21T08:00:00Z";
    let address = |it: u64| format!("p{it}@a{it}.example");
    let requests = (0..250).map(|it| {
        let of = [id(2), id(3)][usize::from(it >= 150)].clone();
        let state = ["pendingApproval", "delivered", "denied"][usize::try_from(it % 3).unwrap()];
        graph::request(&of, &address(it), state, at)
    });
    let assignments = (0..150).filter(|it| it % 3 == 1);
    let assignments = assignments.map(|it| graph::assignment(&id(2), &address(it), "delivered"));
    let files = [
        ("assignmentRequests", requests.collect()),
        ("assignments", assignments.collect()),
        ("accessPackages", Value::from(tenant())),
        ("organization", organization()),
    ];
    let server = ODataServer::start(&metadata, folder.path(), &files);
    let relay = Server::accepting();
    let mut workplace = Workplace::new(relay.port());
    graph::configure(
        &mut workplace,
        &server.url,
        &server.url,
        Some("before_send = \"off\""),
    );
    let addresses: Vec<_> = (0..152).map(address).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace(LINK, &LINK.replace(graph::PACKAGE, &id(2))),
    );
    assert_eq!(workplace.run(&["send"]).code, 0);

    let output = workplace.run(&["sync"]);

    assert_eq!(output.code, 1, "{output:?}");
    let conclusion = "150 requests for 1 package read: new for invited partners: 50 requested, 50 granted, 50 denied\n";
    assert!(output.stdout.ends_with(conclusion), "{output:?}");
    let requests = server.finish();
    let asked = |it: &&String| it.contains("/assignmentRequests?") || it.contains("/assignments?");
    // Two pages of requests, one of assignments, and no other query was needed.
    assert_eq!(requests.iter().filter(asked).count(), 3, "{requests:?}");
}
