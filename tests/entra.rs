//! Microsoft Entra before mail is sent: every condition, every fault of Microsoft Graph, over a real socket.

#![allow(
    clippy::semicolon_if_nothing_returned,
    reason = "a change of the tenant is one expression"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use access_invite::config::Config;
use access_invite::entra::{Graph as Client, GraphError, Resource};
use access_invite::http::Proxies;
use access_invite::link::PackageId;
use serde_json::{Value, json};

use crate::support::graph::{
    self, CONNECTED_TENANT, Graph, ORGANIZATION, PACKAGE, error, error_with_pause, page, policy,
};
use crate::support::ports::ClosedPort;
use crate::support::sheet::Sheet;
use crate::support::smtp::Server;
use crate::support::terminal::Terminal;
use crate::support::token_endpoint::{Action, json as answer};
use crate::support::{LINK, Output, Workplace, parallel};

const POLICIES: &str = "assignmentPolicies?$filter";

/// A relay, a tenant and a job for one partner at a connected organization.
struct Job {
    server: Server,
    graph: Graph,
    workplace: Workplace,
}

impl Job {
    fn new(entra: Option<&str>) -> Self {
        let server = Server::accepting();
        let graph = Graph::start();
        let mut workplace = Workplace::english(server.port());
        graph.configure(&mut workplace, entra);
        workplace.partners(&["ada@a.example"]);
        Self {
            server,
            graph,
            workplace,
        }
    }

    /// Runs `check --entra`, and returns its exit code and the findings about Entra as severity and text.
    fn check(&self) -> (i32, Vec<(String, String)>) {
        let output = self
            .workplace
            .run(&["check", "--entra", "--format", "json"]);
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        let findings = found["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|it| it["check"] == "entra");
        let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
        let findings = findings.map(|it| {
            (
                text(it, "severity"),
                format!(
                    "{}: {}; {}",
                    text(it, "where"),
                    text(it, "what"),
                    text(it, "fix")
                ),
            )
        });
        (output.code, findings.collect())
    }

    /// Fails unless `send` ends with this code before any mail, and says this.
    #[track_caller]
    fn stops(&self, code: i32, words: &str) -> Output {
        let output = self.workplace.run(&["send"]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(words), "{words}: {output:?}");
        assert!(output.stderr.contains("nothing was sent"), "{output:?}");
        assert_eq!(self.server.connections(), 0);
        assert!(self.workplace.states().is_empty(), "{output:?}");
        output
    }

    /// Fails unless `send` mails the partner. Returns what it prints.
    #[track_caller]
    fn sends(&self) -> String {
        let output = self.workplace.run(&["send"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(self.workplace.state(), "accepted");
        output.stderr
    }
}

/// A condition of the tenant that is broken, with the title of its row in the snapshot.
type Broken = (&'static str, fn(&Graph));

/// What makes a link certainly useless.
const ERRORS: [Broken; 7] = [
    ("catalog unpublished", |graph| {
        graph.change_package(|it| it["catalog"]["state"] = "unpublished".into());
    }),
    ("catalog not external", |graph| {
        graph.change_package(|it| it["catalog"]["isExternallyVisible"] = false.into());
    }),
    ("no policy", |graph| {
        graph.change_package(|it| it["assignmentPolicies"] = json!([]));
    }),
    ("policy for members only", |graph| {
        graph.change_package(|it| {
            it["assignmentPolicies"] = json!([policy("allMemberUsers", true)])
        });
    }),
    ("self-request off", |graph| {
        graph.change_package(|it| {
            it["assignmentPolicies"] = json!([policy("allExternalUsers", false)])
        });
    }),
    ("foreign hint", |graph| {
        graph.change(|it| {
            it["organization"][0]["verifiedDomains"] = json!([
            {"name": "contoso.onmicrosoft.com", "isInitial": true}])
        });
    }),
    ("package deleted", |graph| {
        graph.change(|it| it["accessPackages"] = json!([]));
    }),
];

/// What may not matter, or is not certain.
const WARNINGS: [Broken; 12] = [
    ("only guests", |graph| {
        graph.change_package(|it| {
            it["assignmentPolicies"] = json!([policy("allDirectoryUsers", true)])
        });
    }),
    ("unknown scope", |graph| {
        graph.change_package(|it| it["assignmentPolicies"] = json!([policy("allMartians", true)]));
    }),
    ("unknown state of the catalog", |graph| {
        graph.change_package(|it| it["catalog"]["state"] = "archived".into());
    }),
    ("no answer about external visibility", |graph| {
        graph.change_package(|it| it["catalog"]["isExternallyVisible"] = Value::Null);
    }),
    ("no catalog in the answer", |graph| {
        graph.change_package(|it| it["catalog"] = Value::Null);
    }),
    ("no policies in the answer", |graph| {
        graph.change_package(|it| it["assignmentPolicies"] = Value::Null);
        graph.refuse(POLICIES, 403);
    }),
    ("no policy, and no cross-check", |graph| {
        graph.change_package(|it| it["assignmentPolicies"] = json!([]));
        graph.refuse(POLICIES, 400);
    }),
    ("link to another tenant", |graph| {
        graph.change(|it| {
            it["accessPackages"] = json!([]);
            it["organization"][0]["verifiedDomains"] = json!([]);
        });
    }),
    ("package deleted, list not readable", |graph| {
        graph.change(|it| it["accessPackages"] = json!([]));
        graph.refuse("accessPackages?$select=id", 403);
    }),
    ("package not readable", |graph| graph.refuse(PACKAGE, 403)),
    ("tenant not readable", |graph| {
        graph.refuse("/organization", 403)
    }),
    ("answer is no JSON", |graph| {
        graph.script(PACKAGE, |_| Some(answer(200, "<html>Proxy</html>")));
    }),
];

#[test]
fn each_broken_condition_stops_send_before_the_first_mail() {
    let mut sheet = Sheet::default();
    for (title, break_it) in ERRORS {
        let job = Job::new(Some(""));
        break_it(&job.graph);

        let output = job.stops(78, "packages.project.link");

        sheet.note(title, &job.workplace, &output);
        let (code, findings) = job.check();
        assert_eq!(code, 78, "{title}: {findings:?}");
        let errors = findings.iter().filter(|it| it.0 == "error").count();
        assert_eq!(errors, 1, "{title}: {findings:?}");
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn what_is_uncertain_is_a_warning_once_a_day_and_the_mail_is_sent() {
    let mut sheet = Sheet::default();
    for (title, break_it) in WARNINGS {
        let job = Job::new(Some(""));
        break_it(&job.graph);
        job.workplace.partners(&["ada@a.example", "bob@a.example"]);

        let first = job.workplace.run(&["send", "--limit", "1"]);
        let second = job.workplace.run(&["send"]);

        assert_eq!(
            (first.code, second.code),
            (0, 0),
            "{title}: {first:?} {second:?}"
        );
        assert!(first.stderr.starts_with("warning: "), "{title}: {first:?}");
        assert_eq!(second.stderr, "", "{title}");
        job.workplace.all_are("accepted");
        sheet.note(title, &job.workplace, &first);
        let (code, findings) = job.check();
        assert_eq!(code, 0, "{title}: {findings:?}");
        assert!(
            findings.iter().any(|it| it.0 == "warning"),
            "{title}: {findings:?}"
        );
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_warning_whose_numbers_change_is_printed_once_a_day() {
    let job = Job::new(Some(""));
    let mut number = 0;
    job.graph.script("organization", move |_| {
        number += 1;
        let text = json!({"error": {"code": "BadRequest", "message": format!("Request {number}ab at 12:00:{number:02}.")}});
        Some(answer(400, &text.to_string()))
    });
    job.workplace.partners(&["ada@a.example", "bob@a.example"]);

    let first = job.workplace.run(&["send", "--limit", "1"]);
    let second = job.workplace.run(&["send"]);

    assert!(first.stderr.contains("Request 1ab"), "{first:?}");
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
}

#[test]
fn a_policy_that_is_only_in_the_list_and_closed_has_its_own_fix() {
    let job = Job::new(Some(""));
    job.graph
        .change_package(|it| it["assignmentPolicies"] = json!([]));
    job.graph.script(POLICIES, |_| {
        Some(page(&json!([policy("allExternalUsers", false)]), None))
    });

    job.stops(78, "self-request is off");
}

#[test]
fn errors_about_entra_do_not_prevent_the_diagnosis_of_the_relay() {
    let job = Job::new(Some(""));
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());

    let output = job.workplace.run(&[
        "check",
        "--entra",
        "--connect",
        "--locales",
        "--format",
        "json",
    ]);

    assert_eq!(output.code, 78, "{output:?}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(found["ok"], false);
    let findings = found["findings"].as_array().unwrap();
    let has = |check: &str, severity: &str| {
        let mut findings = findings.iter();
        findings.any(|it| it["check"] == check && it["severity"] == severity)
    };
    assert!(has("entra", "error"), "{found}");
    assert!(has("relay", "ok"), "{found}");
    assert!(found["locales"].is_array(), "{found}");
}

#[test]
fn without_the_table_nothing_is_asked() {
    let job = Job::new(None);
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());

    assert_eq!(job.sends(), "");

    assert_eq!(job.graph.requests(), 0);
    let check = job.workplace.run(&["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(
        check.stdout.contains("add the table `[entra]`"),
        "{check:?}"
    );
    assert_eq!(job.graph.requests(), 0);
}

#[test]
fn nothing_is_asked_where_nothing_is_due_or_no_mail_leaves() {
    let job = Job::new(Some(""));
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());
    for arguments in [
        &["check"][..],
        &["preview"],
        &["send", "--dry-run", "--out", "dry"],
        &["send", "--sandbox"],
        &["status"],
    ] {
        let output = job.workplace.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    }
    job.workplace.partners(&[]);
    assert_eq!(job.workplace.run(&["send"]).code, 0);

    assert_eq!(job.graph.requests(), 0);
}

#[test]
fn only_packages_that_are_due_stop_a_send() {
    let mut job = Job::new(None);
    let other = LINK.replace(PACKAGE, "11111111-2222-4333-8444-555555555555");
    job.graph.configure(&mut job.workplace, Some(""));
    let table = format!("[packages.other]\nlink = \"{other}\"\nname = \"Other\"\n");
    job.workplace.extra.push_str(&table);
    job.workplace.configure();
    job.workplace.write(
        "partners.csv",
        "email,package\nada@a.example,project\nbob@a.example,other\n",
    );

    // The other package does not exist.
    let output = job.workplace.run(&["send", "--only", "ada@a.example"]);
    assert_eq!(output.code, 0, "{output:?}");
    let output = job.workplace.run(&["send"]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(output.stderr.contains("packages.other.link"), "{output:?}");
    assert!(
        !output.stderr.contains("packages.project.link"),
        "{output:?}"
    );
    assert_eq!(job.server.accepted().len(), 1);
}

#[test]
fn before_send_decides_what_stops_a_send() {
    let refuse = Some("before_send = \"refuse\"");
    for break_it in [
        (|graph: &Graph| graph.refuse(PACKAGE, 403)) as fn(&Graph),
        |graph| graph.refuse("/organization", 403),
        |graph| graph.script(PACKAGE, |_| Some(answer(200, "{"))),
    ] {
        let job = Job::new(refuse);
        break_it(&job.graph);
        job.stops(78, "not checked: ");
    }
    let job = Job::new(refuse);
    assert_eq!(job.sends(), "");

    let job = Job::new(Some("before_send = \"warn\""));
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());
    assert!(
        job.sends()
            .starts_with("warning: packages.project.link: the catalog")
    );

    let job = Job::new(Some("before_send = \"off\""));
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());
    assert_eq!(job.sends(), "");
    assert_eq!(job.graph.requests(), 0);
    let (code, _) = job.check();
    assert_eq!(code, 78);
}

#[test]
fn graph_out_of_reach_is_a_warning_and_75_with_refuse() {
    let nobody = ClosedPort::reserve();
    let nobody = format!("http://127.0.0.1:{}", nobody.port());
    let mut job = Job::new(None);
    let login = job.graph.url();
    graph::configure(
        &mut job.workplace,
        &login,
        &nobody,
        Some("before_send = \"refuse\""),
    );
    let output = job.stops(75, "connection refused");
    assert_eq!(
        output.stderr.matches("connection refused").count(),
        1,
        "{output:?}"
    );

    graph::configure(&mut job.workplace, &nobody, &nobody, Some(""));
    let warning = job.sends();
    assert!(warning.contains("not checked: "), "{warning}");
    assert!(warning.contains("cannot get an access token"), "{warning}");
    let (code, findings) = job.check();
    assert_eq!(code, 0, "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|it| it.1.contains("the domains of the list")),
        "{findings:?}"
    );
}

#[test]
fn unusable_credentials_are_a_warning_of_send_and_an_error_of_check() {
    for (entra, stops) in [("", false), ("before_send = \"refuse\"", true)] {
        let job = Job::new(Some(entra));
        std::fs::remove_file(job.workplace.file("client-secret")).unwrap();
        if stops {
            job.stops(78, "microsoft.client_secret_file");
        } else {
            assert!(job.sends().contains("microsoft.client_secret_file"));
        }
        assert_eq!(job.check().0, 78);
    }
    let mut job = Job::new(None);
    job.workplace.extra = String::new();
    job.workplace.configure();
    let output = job.workplace.run(&["check", "--entra"]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(
        output.stderr.contains("needs the table `[microsoft]`"),
        "{output:?}"
    );
    job.workplace.extra = "[entra]".into();
    job.workplace.configure();
    let output = job.workplace.run(&["check"]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(
        output.stderr.contains("`[entra]` needs `[microsoft]`"),
        "{output:?}"
    );
}

#[test]
fn a_missing_optional_permission_stops_nothing_and_is_named() {
    let cases = [
        ("/connectedOrganizations", "EntitlementManagement.Read.All"),
        (
            "/authenticationMethodConfigurations/email",
            "Policy.Read.AuthenticationMethod",
        ),
        ("/b2bManagementPolicies", "Policy.Read.B2BManagementPolicy"),
        ("/crossTenantAccessPolicy/default", "Policy.Read.All"),
        ("/crossTenantAccessPolicy/partners", "Policy.Read.All"),
        ("/authorizationPolicy", "Policy.Read.All"),
        ("/conditionalAccess/policies", "Policy.Read.All"),
        ("/subscribedSkus", "Organization.Read.All"),
        (
            "/findTenantInformation",
            "CrossTenantInformation.ReadBasic.All",
        ),
    ];
    parallel::for_each(3, &cases, |&(part, permission)| {
        let job = Job::new(Some("before_send = \"refuse\""));
        job.graph.refuse(part, 403);

        let (code, findings) = job.check();

        assert_eq!(code, 0, "{part}: {findings:?}");
        let named = |it: &&(String, String)| it.0 == "note" && it.1.contains(permission);
        let named = findings.iter().find(named);
        let named = named.unwrap_or_else(|| panic!("{part}: {findings:?}"));
        assert!(named.1.contains("not checked: "), "{named:?}");
        assert_eq!(job.sends(), "", "{part}");
    });
}

#[test]
fn required_permissions_are_named() {
    for (part, permission) in [
        (PACKAGE, "EntitlementManagement.Read.All"),
        ("/organization", "Organization.Read.All"),
    ] {
        let job = Job::new(Some("before_send = \"refuse\""));
        job.graph.refuse(part, 403);
        job.stops(78, permission);
    }
}

/// What speaks against the partners of a list.
const DOMAINS: [Broken; 11] = [
    ("organization not connected", |graph| {
        graph.change(|it| it["connectedOrganizations"] = json!([]));
    }),
    ("organization proposed", |graph| {
        graph.change(|it| it["connectedOrganizations"][0]["state"] = "proposed".into());
    }),
    ("organization connected by its domain", |graph| {
        graph.change(|it| {
            it["connectedOrganizations"][0]["identitySources"] = json!([
            {"@odata.type": "#microsoft.graph.domainIdentitySource", "domainName": "A.example"}])
        });
    }),
    ("no permission to look up domains", |graph| {
        graph.refuse("/findTenantInformation", 403);
    }),
    ("passcodes off, domain without a tenant", |graph| {
        graph.change(|it| {
            it["domains"] = json!({});
            it["policies/authenticationMethodsPolicy/authenticationMethodConfigurations/email"]["allowExternalIdToUseEmailOtp"] = "disabled".into();
        });
        graph.change_package(|it| {
            it["assignmentPolicies"] = json!([policy("allExternalUsers", true)])
        });
    }),
    ("domain blocked", |graph| {
        let definition = r#"{"B2BManagementPolicy":{"InvitationsAllowedAndBlockedDomainsPolicy":{"BlockedDomains":["A.example"]}}}"#;
        graph.change(|it| {
            it["policies/b2bManagementPolicies"] = json!([{"definition": [definition]}])
        });
    }),
    ("list of domains that cannot be parsed", |graph| {
        graph.change(|it| {
            it["policies/b2bManagementPolicies"] =
                json!([{"definition": ["{'B2BManagementPolicy':{}}"]}])
        });
    }),
    ("tenant of the partner blocked", |graph| {
        graph.change(|it| {
            it["policies/crossTenantAccessPolicy/partners"] = json!([
            {"tenantId": CONNECTED_TENANT, "b2bCollaborationInbound": {"usersAndGroups":
                {"accessType": "blocked", "targets": [{"target": "AllUsers"}]}}}])
        });
    }),
    ("nobody may invite", |graph| {
        graph.change(|it| it["policies/authorizationPolicy"]["allowInvitesFrom"] = "none".into());
    }),
    ("Conditional Access", |graph| {
        graph.change(|it| it["identity/conditionalAccess/policies"] = json!([
            {"displayName": "Block guests", "state": "enabled",
             "conditions": {"users": {"includeUsers": ["GuestsOrExternalUsers"]}, "applications": {"includeApplications": ["All"]}},
             "grantControls": {"builtInControls": ["block"]}}]));
    }),
    ("licence expired", |graph| {
        graph.change(|it| it["subscribedSkus"][0]["capabilityStatus"] = "Suspended".into());
    }),
];

#[test]
fn what_speaks_against_partners_is_a_warning_of_check_and_not_of_send() {
    let mut sheet = Sheet::default();
    let job = Job::new(Some(""));
    sheet.note(
        "a tenant in good order",
        &job.workplace,
        &job.workplace.run(&["check", "--entra"]),
    );
    for (title, break_it) in DOMAINS {
        let job = Job::new(Some("before_send = \"refuse\""));
        break_it(&job.graph);

        let output = job.workplace.run(&["check", "--entra"]);

        assert_eq!(output.code, 0, "{title}: {output:?}");
        assert!(output.stderr.contains("warning: "), "{title}: {output:?}");
        sheet.note(
            title,
            &job.workplace,
            &Output {
                stdout: String::new(),
                ..output
            },
        );
        assert_eq!(job.sends(), "", "{title}");
    }
    let job = Job::new(Some(""));
    job.workplace
        .partners(&["ada@gmail.com", "bob@b.example", "cy@a.example"]);
    let output = job.workplace.run(&["check", "--entra"]);
    sheet.note(
        "a mail service open to everyone, and an organization that is not connected",
        &job.workplace,
        &Output {
            stdout: String::new(),
            ..output
        },
    );
    assert!(
        job.graph
            .targets()
            .iter()
            .all(|it| !it.contains("gmail.com")),
        "a consumer domain was looked up"
    );
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_policy_for_specific_organizations_admits_only_them() {
    for (id, admitted) in [
        (ORGANIZATION, true),
        ("bbbbbbbb-0000-4000-8000-000000000009", false),
    ] {
        let job = Job::new(Some(""));
        job.graph.change_package(|it| {
            let mut policy = policy("specificConnectedOrganizationUsers", true);
            policy["specificAllowedTargets"] = json!([
                {"@odata.type": "#microsoft.graph.groupMembers", "groupId": "x"},
                {"@odata.type": "#microsoft.graph.connectedOrganizationMembers", "connectedOrganizationId": id}]);
            it["assignmentPolicies"] = json!([policy]);
        });

        let (code, findings) = job.check();

        assert_eq!(code, 0);
        let warned = findings.iter().any(|it| {
            it.1.contains("no connected organization of a policy of `project`")
        });
        assert_eq!(warned, !admitted, "{findings:?}");
    }
}

#[test]
fn each_domain_is_looked_up_once_a_day_and_packages_are_always_read() {
    let job = Job::new(Some(""));
    job.workplace.partners(&[
        "ada@a.example",
        "bob@A.example",
        "cy@b.example",
        "di@yahoo.co.jp",
    ]);
    let asked = |part: &str| {
        job.graph
            .targets()
            .iter()
            .filter(|it| it.contains(part))
            .count()
    };

    job.check();
    assert_eq!(asked("findTenantInformation"), 2);
    let packages = asked(PACKAGE);
    job.check();
    assert_eq!(asked("findTenantInformation"), 2);
    assert_eq!(asked(PACKAGE), 2 * packages);

    // A damaged cache is no cache.
    std::fs::write(job.workplace.file("ledger.sqlite3.entra"), "{").unwrap();
    let (code, _) = job.check();
    assert_eq!((code, asked("findTenantInformation")), (0, 4));
}

#[test]
fn a_preview_shows_what_was_found_that_day_and_asks_nothing() {
    let job = Job::new(Some(""));
    job.graph
        .change_package(|it| it["catalog"]["state"] = "unpublished".into());
    let (code, _) = job.check();
    assert_eq!(code, 78);
    let requests = job.graph.requests();

    let output = job.workplace.run(&["preview"]);

    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output
            .stderr
            .contains("a real send would stop: the catalog \"General\" is not enabled"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("(read from Microsoft Entra on 20"),
        "{output:?}"
    );
    assert_eq!(job.graph.requests(), requests);
    // `send` reads it afresh.
    job.graph
        .change_package(|it| it["catalog"]["state"] = "published".into());
    job.sends();
    let output = job.workplace.run(&["preview", "--out", "later"]);
    assert!(!output.stderr.contains("Microsoft Entra"), "{output:?}");
}

#[test]
fn many_domains_are_bounded_and_the_next_check_continues() {
    let job = Job::new(Some(""));
    let addresses: Vec<_> = (0..1_010).map(|it| format!("p@d{it}.example")).collect();
    job.workplace
        .partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let (_, findings) = job.check();
    let left_out = |findings: &[(String, String)]| {
        findings
            .iter()
            .any(|it| it.1.contains("10 domains of the list were not looked up"))
    };
    assert!(left_out(&findings), "{findings:?}");
    let (_, findings) = job.check();
    assert!(!left_out(&findings), "{findings:?}");
    let asked = job.graph.targets();
    let asked: Vec<_> = asked
        .iter()
        .filter(|it| it.contains("findTenantInformation"))
        .collect();
    let distinct: BTreeSet<_> = asked.iter().collect();
    assert_eq!((asked.len(), distinct.len()), (1_010, 1_010));
    // A finding names ten domains at most.
    assert!(
        findings.iter().any(|it| it.1.contains("and 1000 more")),
        "{findings:?}"
    );
}

#[test]
fn init_for_microsoft_365_writes_the_table() {
    let job = Job::new(None);
    for (arguments, has_table) in [
        (&["init", "a", "--provider", "microsoft365"][..], true),
        (
            &["init", "b", "--provider", "google-workspace-relay"],
            false,
        ),
        (&["init", "c"], false),
    ] {
        assert_eq!(job.workplace.run(arguments).code, 0);
        let config = job.workplace.file(arguments[1]).join("config.toml");
        let config = std::fs::read_to_string(config).unwrap();
        assert_eq!(config.contains("\n[entra]\n"), has_table, "{arguments:?}");
    }
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn on_a_terminal_a_warning_is_printed_each_time() {
    let job = Job::new(Some(""));
    job.graph.refuse(PACKAGE, 403);
    job.workplace.partners(&["ada@a.example", "bob@a.example"]);
    let terminal = Terminal::open(&job.workplace, 100, 40);
    for _ in 0..2 {
        let screen = terminal.run("access-invite send --yes --limit 1");
        assert!(
            screen.contains("not checked: the access package"),
            "{screen}"
        );
    }
    assert_eq!(job.server.accepted().len(), 2);
}

#[test]
fn a_link_for_another_cloud_is_not_checked() {
    let mut job = Job::new(Some("before_send = \"refuse\""));
    job.workplace.extra = job
        .workplace
        .extra
        .replace("[entra]", "cloud = \"us-gov\"\n[entra]");
    job.workplace.configure();

    let warning = job.sends();

    assert!(
        warning.contains("belongs to another cloud than `microsoft.cloud` = \"us-gov\""),
        "{warning}"
    );
    assert!(job.graph.targets().iter().all(|it| !it.contains(PACKAGE)));
}

// The client, without the binary.

/// A client of this double; its requests end after two seconds.
fn client(graph: &Graph, folder: &Path) -> Client {
    let mut workplace = Workplace::english(1);
    graph.configure(&mut workplace, None);
    let config = Config::load(&workplace.file("config.toml")).unwrap();
    let microsoft = config.microsoft.unwrap();
    // The folder of the job ends here; the secret must outlive it.
    std::fs::copy(
        workplace.file("client-secret"),
        folder.join("client-secret"),
    )
    .unwrap();
    let mut microsoft = microsoft;
    if let access_invite::config::ClientCredential::Secret(source) = &mut microsoft.credential {
        source.place = access_invite::config::SecretPlace::File(folder.join("client-secret"));
    }
    let client = Client::new(&microsoft, Proxies::default(), jiff::Timestamp::now).unwrap();
    client.with_deadline(Duration::from_secs(2))
}

fn package_id() -> PackageId {
    PackageId::parse(PACKAGE).unwrap()
}

#[tokio::test]
async fn pages_are_followed_on_the_same_server_only_and_never_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::start();
    let client = client(&graph, folder.path());
    let list = Resource::packages("?$select=id");
    let ids = |from: u32, to: u32| {
        (from..to)
            .map(|it| json!({"id": it.to_string()}))
            .collect::<Value>()
    };
    let next = format!(
        "{}/v1.0/identityGovernance/entitlementManagement/accessPackages?$skiptoken=",
        graph.url()
    );

    let (second, third) = (format!("{next}2"), format!("{next}3"));
    graph.script("accessPackages?$select", move |_| {
        Some(page(&ids(0, 3), Some(&second)))
    });
    graph.script("skiptoken=2", move |_| Some(page(&json!([]), Some(&third))));
    graph.script("skiptoken=3", move |_| {
        Some(page(&json!([{"id": "3"}]), None))
    });
    let all: Vec<Value> = client.list(&list).await.unwrap();
    assert_eq!(all.len(), 4);

    let to = format!("{next}2");
    graph.script("skiptoken=3", move |_| Some(page(&json!([]), Some(&to))));
    let error = client.list::<Value>(&list).await.unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");

    let mut number = 10;
    let endless = next.clone();
    graph.script("skiptoken=", move |_| {
        number += 1;
        Some(page(&json!([]), Some(&format!("{endless}{number}"))))
    });
    let error = client.list::<Value>(&list).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 1000 pages"),
        "{error}"
    );

    let other = Graph::start();
    for foreign in [
        other.url(),
        "https://graph.microsoft.com".into(),
        "http://127.0.0.1.example".into(),
    ] {
        graph.script("accessPackages?$select", move |_| {
            Some(page(&json!([]), Some(&format!("{foreign}/v1.0/x"))))
        });
        let error = client.list::<Value>(&list).await.unwrap_err();
        assert!(error.to_string().contains("another server"), "{error}");
    }
    assert_eq!(other.requests(), 0);
}

#[tokio::test]
async fn policies_that_an_expansion_leaves_out_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::start();
    let client = client(&graph, folder.path());
    let next = format!("{}/v1.0/more-policies", graph.url());
    graph.change_package(|it| {
        it["assignmentPolicies"] = json!([policy("allMemberUsers", true)]);
        it["assignmentPolicies@odata.nextLink"] = next.clone().into();
    });
    graph.script("more-policies", |_| {
        Some(page(&json!([policy("allExternalUsers", true)]), None))
    });

    for package in [
        client.package(package_id()).await.unwrap().unwrap(),
        client.packages().await.unwrap().remove(0),
    ] {
        assert_eq!(package.assignment_policies.as_ref().unwrap().len(), 2);
        assert_eq!(package.obstacles(), []);
    }
    graph.refuse("more-policies", 403);
    let error = client.package(package_id()).await.unwrap_err();
    assert_eq!(
        error.missing_permission(),
        Some("EntitlementManagement.Read.All")
    );
}

#[tokio::test]
async fn a_list_without_an_end_is_read_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::start();
    let client = client(&graph, folder.path());
    let next = format!("{}/v1.0/endless?", graph.url());
    let filler = "x".repeat(7 * 1024 * 1024);
    let mut number = 0;
    graph.script("/v1.0/", move |_| {
        number += 1;
        Some(page(
            &json!([{ "id": "1", "new": filler }]),
            Some(&format!("{next}{number}")),
        ))
    });

    let error = client.packages().await.unwrap_err();

    assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
    assert!(graph.targets().len() < 12);
}

#[test]
fn a_policy_that_only_the_list_of_policies_has_counts() {
    let job = Job::new(Some("before_send = \"refuse\""));
    job.graph
        .change_package(|it| it["assignmentPolicies"] = json!([]));
    job.graph.script(POLICIES, |_| {
        Some(page(&json!([policy("allExternalUsers", true)]), None))
    });

    // Nor does the check of domains take the policies of the package alone.
    job.workplace.partners(&["bob@b.example"]);
    let (code, findings) = job.check();
    assert_eq!(code, 0);
    assert!(findings.iter().all(|it| it.0 != "warning"), "{findings:?}");
    job.workplace.partners(&["ada@a.example"]);
    assert_eq!(job.sends(), "");
}

#[tokio::test]
async fn one_expansion_at_a_time_is_used_if_both_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::start();
    let client = client(&graph, folder.path());
    let expected = client.package(package_id()).await.unwrap().unwrap();
    graph.refuse("$expand=catalog,assignmentPolicies", 400);

    assert_eq!(
        client.package(package_id()).await.unwrap().unwrap(),
        expected
    );
    assert_eq!(client.packages().await.unwrap(), [expected]);
    assert_eq!(
        client
            .package(PackageId::parse("11111111-2222-4333-8444-555555555555").unwrap())
            .await,
        Ok(None)
    );
}

#[tokio::test]
async fn an_overloaded_graph_is_asked_again_after_the_pause_that_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    for (status, pause) in [(429, "0.25"), (503, "0"), (500, "0.01"), (504, "0.1")] {
        let graph = Graph::start();
        let client = client(&graph, folder.path());
        let mut refusals = 2;
        graph.script("/organization", move |_| {
            refusals -= 1;
            (refusals >= 0).then(|| error_with_pause(status, pause))
        });
        let begun = std::time::Instant::now();

        assert_eq!(client.organization().await.unwrap().display_name, "Contoso");

        let pause: f64 = pause.parse().unwrap();
        assert!(
            begun.elapsed() >= Duration::from_secs_f64(2.0 * pause),
            "{status}"
        );
        assert_eq!(graph.targets().len(), 3, "{status}");
    }
    // It gives up at once if the pause is too long, and after four answers.
    for (pause, requests) in [("600", 1), ("0", 4)] {
        let graph = Graph::start();
        let client = client(&graph, folder.path());
        graph.script("/organization", move |_| Some(error_with_pause(429, pause)));
        let error = client.organization().await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        assert!(error.to_string().contains("/organization"), "{error}");
        assert_eq!(graph.targets().len(), requests);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::start();
    let client = client(&graph, folder.path());
    let mut refusals = 1;
    graph.script("/organization", move |_| {
        refusals -= 1;
        (refusals >= 0).then(|| error(401))
    });
    client.organization().await.unwrap();
    assert_eq!(graph.requests(), 4, "two tokens, two answers");

    graph.refuse("/organization", 401);
    let error = client.organization().await.unwrap_err();
    assert!(matches!(error, GraphError::Configuration(_)), "{error}");
    assert!(error.to_string().contains("microsoft.tenant"), "{error}");
    assert_eq!(graph.requests(), 4 + 3);
}

#[tokio::test]
async fn slow_huge_and_broken_answers_are_errors_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let huge = format!("[{}]", "1,".repeat(5 * 1024 * 1024));
    let huge = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{huge}"
    );
    for (action, unreachable, words) in [
        (Action::Stall, true, "no complete answer within 2 s"),
        (
            Action::Drip(b"HTTP/1.1 200 OK\r\n\r\n{".to_vec()),
            true,
            "no complete answer within 2 s",
        ),
        (
            Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"value\":".to_vec()),
            true,
            "closed before the answer was complete",
        ),
        (Action::Raw(huge.into_bytes()), false, "larger than 8 MiB"),
        (
            Action::Answer(
                302,
                "Location: https://login.example/\r\n".into(),
                String::new(),
            ),
            false,
            "redirects",
        ),
        (
            answer(200, r#"{"value": {}}"#),
            false,
            "not what Microsoft documents",
        ),
        (
            answer(200, r#"{"value": []}"#),
            false,
            "empty /organization",
        ),
    ] {
        let graph = Graph::start();
        let client = client(&graph, folder.path());
        graph.script("/organization", move |_| Some(action.clone()));
        let begun = std::time::Instant::now();

        let error = client.organization().await.unwrap_err();

        assert_eq!(error.is_unreachable(), unreachable, "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{words}");
    }
}

#[test]
#[should_panic(expected = "neither GET nor the token")]
fn the_double_watches_every_request() {
    let graph = Graph::start();
    let client = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent();
    client
        .post(format!("{}/v1.0/organization", graph.url()))
        .send("{}")
        .unwrap();
    graph.watch();
}
