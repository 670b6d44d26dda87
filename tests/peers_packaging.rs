//! The Debian package, the service, the image and the job for Kubernetes, as Debian, systemd, Buildah and validators
//! take them; and what `docs/install.md` shows.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::documents::markdown::{code_blocks, section};
use crate::documents::page;
use crate::manual::bash_offers;
use crate::support::debian::{self, Debian, output_of};
use crate::support::peers::run;
use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls, reply};
use crate::support::{LINK, Workplace, binary};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The lines for a shell in this section of the page about the installation.
fn lines_of(heading: &str) -> Vec<String> {
    let blocks = code_blocks(section(page("install.md"), heading));
    let shell = blocks.iter().filter(|it| it.language == "sh");
    shell
        .flat_map(|it| it.text.lines().map(str::to_owned))
        .collect()
}

#[test]
fn every_pattern_of_the_package_has_files() {
    let declarations = debian::declarations();
    let mut patterns = 0;
    for asset in declarations["assets"].as_array().unwrap() {
        let source = asset[0].as_str().unwrap();
        // What `packaging/debian/files` and Cargo write is there only after a build.
        if !source.starts_with("target/") {
            let source = Path::new(REPOSITORY).join(source);
            let files = debian::files_of(source.to_str().unwrap());
            assert!(!files.is_empty(), "{}", source.display());
            assert!(files.iter().all(|it| it.0.is_file()), "{files:?}");
            patterns += 1;
        }
    }
    assert!(patterns > 6, "{patterns} patterns");
}

#[test]
fn files_about_the_package_name_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |name: &str| std::fs::read_to_string(Path::new(REPOSITORY).join(name)).unwrap();
    for (name, text) in [
        (
            "packaging/cronjob.yaml",
            format!("/access-invite:{version}\n"),
        ),
        (
            "docs/install.md",
            format!("access-invite_{version}-1_amd64.deb"),
        ),
        ("CHANGELOG.md", format!("\n## [{version}] - 20")),
    ] {
        assert!(read(name).contains(&text), "{name}: {text}");
    }
    let toolchain = env!("CARGO_PKG_RUST_VERSION");
    let image = format!("/rust:{toolchain}-bookworm");
    assert!(read("packaging/Containerfile").contains(&image), "{image}");
}

#[test]
fn every_cargo_install_and_release_build_is_locked() {
    let mut lines = 0;
    let packaging = Path::new(REPOSITORY).join("packaging");
    let documents = ["README.md", "docs/install.md", "packaging/Containerfile"];
    let documents = documents.map(|it| Path::new(REPOSITORY).join(it));
    for path in documents
        .into_iter()
        .chain([packaging.join("debian/build")])
    {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            if line.contains("cargo install ") || line.contains("cargo build ") {
                assert!(line.contains(" --locked"), "{}: {line}", path.display());
                lines += 1;
            }
        }
    }
    assert!(lines >= 6, "{lines} lines");
}

#[test]
#[ignore = "needs a Debian made by mmdebstrap, and root; .ci/run calls it"]
fn the_package_installs_upgrades_and_keeps_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let package = debian::package(folder.path());
    let debian = Debian::new();

    debian.install(&package);

    let owned = debian.succeed(
        "stat -c '%U:%G %a %n' /etc/access-invite /etc/access-invite/* /var/lib/access-invite",
    );
    assert_eq!(
        owned,
        "root:access-invite 750 /etc/access-invite\nroot:access-invite 640 /etc/access-invite/config.toml\nroot:access-invite 640 /etc/access-invite/partners.csv\naccess-invite:access-invite 700 /var/lib/access-invite\n"
    );
    pages_and_completions(&debian);
    documented_steps(&debian);

    // A list in another file, and a configuration of one's own with other permissions.
    debian.succeed("rm /etc/access-invite/partners.csv; echo '# mine' >>/etc/access-invite/config.toml; chmod 600 /etc/access-invite/config.toml");
    let mine = debian.read("etc/access-invite/config.toml");
    let ledger = debian.succeed("sha256sum /var/lib/access-invite/ledger.sqlite3");
    debian.install(&debian::newer(&package, folder.path()));
    assert_eq!(
        debian.succeed("dpkg-query -W -f '${Version}' access-invite"),
        "99.0.0-1"
    );
    assert_eq!(debian.read("etc/access-invite/config.toml"), mine);
    assert!(!debian.path("etc/access-invite/partners.csv").exists());
    let mode = debian
        .path("etc/access-invite/config.toml")
        .metadata()
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    debian.succeed("apt-get remove -qq access-invite");
    assert!(!debian.path("usr/bin/access-invite").exists());
    assert_eq!(debian.read("etc/access-invite/config.toml"), mine);
    debian.succeed("apt-get purge -qq access-invite");
    assert!(!debian.path("etc/access-invite").exists());
    assert_eq!(
        debian.succeed("sha256sum /var/lib/access-invite/ledger.sqlite3"),
        ledger
    );

    debian.install(&package);
    let again = debian.succeed("sudo -u access-invite access-invite init /etc/access-invite");
    assert_eq!(again, "", "the ledger is there");
}

/// The manual and the completions, as `man` and bash find them.
fn pages_and_completions(debian: &Debian) {
    for (page, words) in [
        ("access-invite", "access-invite-send(1)"),
        ("access-invite-send", "--sandbox"),
    ] {
        let shown = debian.succeed(&format!(
            "MANWIDTH=80 man --warnings -P cat {page} 2>/tmp/warnings; cat /tmp/warnings >&2"
        ));
        assert!(shown.contains("NAME\n") && shown.contains(words), "{shown}");
        assert_eq!(debian.read("tmp/warnings"), "", "{page}");
    }
    let complete = |script: &str| {
        let load = ". /usr/share/bash-completion/bash_completion; _completion_loader access-invite";
        debian.write("root/complete", &format!("{load}\n{script}"));
        debian.succeed("bash /root/complete")
    };
    assert_eq!(bash_offers(complete, "access-invite pre"), ["preview"]);
    assert_eq!(
        bash_offers(complete, "access-invite send --san"),
        ["--sandbox"]
    );
}

/// The steps of the page after the installation, but the one that needs systemd: with the example, then with a
/// configuration of one's own.
fn documented_steps(debian: &Debian) {
    let steps = lines_of("## Debian package");
    assert!(steps[2].starts_with("sudo apt install ./target/debian/access-invite_"));
    let steps = &steps[3..];
    assert_eq!(steps[0], "sudoedit /etc/access-invite/config.toml");
    assert_eq!(steps[3], "sudo systemctl enable --now access-invite.timer");
    let created = debian.succeed(&steps[1]);
    assert_eq!(
        created,
        "empty ledger created; every partner counts as not invited (/var/lib/access-invite/ledger.sqlite3)\n"
    );
    let check = debian.succeed(&steps[2]);
    assert!(
        check.contains("/etc/access-invite/config.toml is good: 26 partners, 1 package"),
        "{check}"
    );
    // The example is not sent, and the sandbox job runs without any privilege.
    let send = "cd /var/lib/access-invite; sudo -u access-invite access-invite -c /etc/access-invite/config.toml send";
    let refused = debian.run(send);
    assert_eq!(refused.code, 78, "{refused:?}");
    let sandbox = debian.succeed(&format!("{send} --sandbox"));
    assert!(sandbox.contains("26 received"), "{sandbox}");
    let limits = debian.succeed("sudo -u access-invite setpriv --dump");
    for limit in ["no_new_privs: 1", "Capability bounding set: [none]"] {
        assert!(limits.contains(limit), "{limits}");
    }
    let outside = debian.run("sudo -u access-invite touch /etc/access-invite/x");
    assert_ne!(outside.code, 0, "{outside:?}");
}

#[test]
#[ignore = "needs a Debian made by mmdebstrap, systemd-nspawn, and root; .ci/run calls it"]
fn the_service_and_its_timer_run_under_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let debian = Debian::new();
    debian.install(&debian::package(folder.path()));
    units_are_valid(&debian);
    let pki = Pki::new();
    let login = Login {
        mechanisms: "PLAIN",
        takes: BASE64.encode(format!("\0ada\0{PASSWORD}")),
        ..Login::default()
    };
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        login: Some(login),
        ..Setup::default()
    };
    let server = Server::set_up(setup, |call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("later@b.example")) => reply("450 4.2.1 later"),
        _ => Action::Normal,
    });
    debian.write("etc/access-invite/ca.pem", &pki.ca_pem);
    debian.write(
        "etc/access-invite/partners.csv",
        "email\nada@a.example\nlater@b.example\n",
    );
    debian.write(
        "etc/access-invite/config.toml",
        &configuration(server.port()),
    );
    debian.write("root/password", &format!("{PASSWORD}\n"));
    let encrypt = lines_of("### The password");
    assert_eq!(encrypt[1], "sudo systemctl edit access-invite");
    let blocks = code_blocks(section(page("install.md"), "### The password"));
    let credential = blocks.iter().find(|it| it.language == "ini").unwrap();
    debian.write("root/credential.conf", &credential.text);
    let script = include_str!("support/debian/service.sh");
    let script = script
        .replace(
            "@ENCRYPT@",
            &format!("{} </root/password; rm /root/password", encrypt[0]),
        )
        .replace("@CHECK@", &encrypt[2])
        .replace("@ENABLE@", &lines_of("## Debian package")[6]);

    let transcript = debian.boot(&script);

    let line = |start: &str| {
        let line = transcript.lines().find_map(|it| it.strip_prefix(start));
        line.unwrap_or_else(|| panic!("{start}: {transcript}"))
            .trim()
            .to_owned()
    };
    // The limits of the unit hold.
    for (limit, holds) in [
        ("CapBnd:", "0000000000000000"),
        ("CapEff:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
        ("Seccomp:", "2"),
        ("user:", "access-invite"),
        ("/etc:", "read-only"),
        ("state:", "writable"),
        ("home:", "hidden"),
        ("processes of others:", "hidden"),
    ] {
        assert_eq!(line(limit), holds, "{limit}: {transcript}");
    }
    assert_eq!(line("limits:"), "0 inactive", "{transcript}");
    assert_eq!(line("sandbox:"), "0 inactive", "{transcript}");
    assert!(
        transcript.contains("2 received; nothing was sent to another machine"),
        "{transcript}"
    );
    assert!(
        debian
            .path("var/lib/access-invite/sandbox/index.html")
            .exists()
    );
    // A run with work that remains is a success for systemd; a failure is not.
    assert_eq!(line("check:"), "0", "{transcript}");
    assert_eq!(line("send:"), "0 inactive", "{transcript}");
    assert!(
        transcript.contains("exit 75  1 accepted, 1 deferred"),
        "{transcript}"
    );
    assert_eq!(line("timer:"), "active enabled", "{transcript}");
    assert_eq!(line("by the timer:"), "mailed", "{transcript}");
    assert_eq!(line("failure:"), "1 failed", "{transcript}");
    assert_eq!(
        line("failed units:"),
        "access-invite.service",
        "{transcript}"
    );
    assert!(
        transcript.contains("config.toml:1:12: `campaign` must be a text, not 1"),
        "{transcript}"
    );
    assert!(transcript.contains("status=78/CONFIG"), "{transcript}");
    let reached: Vec<_> = server
        .accepted()
        .iter()
        .map(|it| it.recipients[0].clone())
        .collect();
    assert_eq!(reached, ["ada@a.example", "new@c.example"]);
}

/// A job that logs in with a credential of the service.
fn configuration(port: u16) -> String {
    format!(
        "campaign = \"spring\"\n[sender]\nfrom = \"access@woodgrove.example\"\norganization = \"Woodgrove\"\n[packages.main]\nlink = \"{LINK}\"\nname = \"Plans\"\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = \"/usr/share/access-invite/templates\"\n[smtp]\nhost = \"localhost\"\nport = {port}\nca_file = \"ca.pem\"\nusername = \"ada\"\npassword_credential = \"smtp-password\"\n[ledger]\nfile = \"/var/lib/access-invite/ledger.sqlite3\"\n"
    )
}

/// As systemd itself judges the units where they are installed.
fn units_are_valid(debian: &Debian) {
    let units = "/usr/lib/systemd/system/access-invite";
    let verified = debian.run(&format!(
        "systemd-analyze verify {units}.service {units}.timer"
    ));
    let printed = (
        verified.code,
        verified.stdout.as_str(),
        verified.stderr.as_str(),
    );
    assert_eq!(printed, (0, "", ""));
    // `verify` ends with 0 also for keys that it does not know.
    let broken = debian.run(&format!("sed 's/^UMask/Umask/' {units}.service >/tmp/broken.service; systemd-analyze verify /tmp/broken.service"));
    assert!(broken.stderr.contains("Umask"), "{broken:?}");
    // In tenths: at most 2.0 of 10.
    let exposure = debian.run(&format!(
        "systemd-analyze security --offline=true --threshold=20 --no-pager {units}.service"
    ));
    assert_eq!(exposure.code, 0, "{exposure:?}");
    let timer = debian.read("usr/lib/systemd/system/access-invite.timer");
    let calendar = timer
        .lines()
        .find_map(|it| it.strip_prefix("OnCalendar="))
        .unwrap();
    let next = debian.succeed(&format!(
        "systemd-analyze calendar --base-time='2026-11-27 19:30' '{calendar}'"
    ));
    // After the last time of a Friday, the first of the Monday.
    assert!(
        next.contains("Next elapse: Mon 2026-11-30 07:15:00"),
        "{next}"
    );
}

#[test]
#[ignore = "needs a Debian made by mmdebstrap, Buildah, and root; .ci/run calls it"]
fn the_image_runs_as_an_unprivileged_user() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let buildah = |arguments: &[&str]| {
        output_of(
            Command::new("buildah")
                .arg("--root")
                .arg(at.join("storage"))
                .arg("--runroot")
                .arg(at.join("run"))
                .args(arguments)
                .env("STORAGE_DRIVER", "vfs")
                .env("BUILDAH_ISOLATION", "chroot")
                .env("XDG_RUNTIME_DIR", at)
                .stdin(Stdio::null()),
        )
    };
    let built = |arguments: &[&str]| {
        let output = buildah(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        output.stdout
    };
    // Both bases by their tags: Debian, and instead of Rust's image a `cargo` that has built the program already.
    let bases = at.join("bases");
    std::fs::create_dir(&bases).unwrap();
    std::fs::copy(debian::archive(), bases.join("debian.tar")).unwrap();
    std::fs::copy(binary(), bases.join("program")).unwrap();
    std::fs::write(bases.join("cargo"), include_str!("support/debian/cargo.sh")).unwrap();
    std::fs::write(bases.join("Debian"), "FROM scratch\nADD debian.tar /\n").unwrap();
    let rust = "FROM docker.io/library/debian:bookworm-slim\nCOPY --chmod=755 program cargo /usr/local/bin/\n";
    std::fs::write(bases.join("Rust"), rust).unwrap();
    let containerfile =
        std::fs::read_to_string(Path::new(REPOSITORY).join("packaging/Containerfile")).unwrap();
    let mut tags: Vec<&str> = containerfile
        .lines()
        .filter_map(|it| it.strip_prefix("FROM ")?.split(' ').next())
        .collect();
    tags.reverse();
    for (tag, file) in tags.iter().zip(["Debian", "Rust"]) {
        let file = bases.join(file);
        built(&[
            "bud",
            "--quiet",
            "--pull-never",
            "-t",
            tag,
            "-f",
            file.to_str().unwrap(),
            bases.to_str().unwrap(),
        ]);
    }
    let documented = lines_of("## Container");
    let arguments = documented[0].strip_prefix("buildah bud ").unwrap();
    let mut arguments: Vec<&str> = arguments.split(' ').collect();
    assert_eq!(arguments.pop(), Some("."));
    let file = Path::new(REPOSITORY).join("packaging/Containerfile");
    let index = arguments
        .iter()
        .position(|it| *it == "packaging/Containerfile")
        .unwrap();
    arguments[index] = file.to_str().unwrap();
    built(
        &[
            &["bud", "--quiet", "--pull-never", "--timestamp", "0"],
            &arguments[..],
            &[REPOSITORY],
        ]
        .concat(),
    );

    let container = built(&["from", "--pull-never", "access-invite"]);
    let job = at.join("job");
    run(Command::new(binary()).args(["init", "--example"]).arg(&job));
    run(Command::new("chown").args(["-R", "65532:65532"]).arg(&job));
    let volume = format!("{}:/job", job.display());
    let in_it = |command: &[&str]| {
        let start = ["run", "--volume", &volume, container.trim(), "--"];
        built(&[&start[..], command].concat())
    };

    let id = in_it(&["id"]);
    assert!(id.starts_with("uid=65532 gid=65532 groups=65532"), "{id}");
    let inspected = built(&[
        "inspect",
        "--format",
        "{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.User}} {{.OCIv1.Config.WorkingDir}}",
        container.trim(),
    ]);
    assert_eq!(
        inspected.trim(),
        "[/usr/bin/access-invite] 65532:65532 /job"
    );
    let sent = in_it(&["/usr/bin/access-invite", "send", "--sandbox"]);
    assert!(sent.contains("26 received"), "{sent}");
    assert_eq!(
        job.join("sandbox/index.html").metadata().unwrap().uid(),
        65532
    );
    let licenses = in_it(&["ls", "/usr/share/doc/access-invite"]);
    assert_eq!(
        licenses,
        "LICENSE-APACHE\nLICENSE-MIT\nthird-party-licenses\n"
    );
}

#[test]
#[ignore = "needs kubernetes-validate of PyPI; .ci/run calls it"]
fn the_job_for_kubernetes_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let job =
        std::fs::read_to_string(Path::new(REPOSITORY).join("packaging/cronjob.yaml")).unwrap();
    let validate = |text: &str| {
        let path = folder.path().join("cronjob.yaml");
        std::fs::write(&path, text).unwrap();
        output_of(
            Command::new("python3")
                .args(["-m", "kubernetes_validate", "--strict"])
                .arg(path),
        )
    };
    let valid = validate(&job);
    assert_eq!(valid.code, 0, "{valid:?}");
    assert!(
        valid
            .stdout
            .contains("passed for resource cronjob/access-invite"),
        "{valid:?}"
    );
    for (right, wrong) in [
        ("backoffLimit:", "backoffLimits:"),
        ("runAsUser: 65532", "runAsUser: nobody"),
        ("args: [\"send\"]", "args: send"),
    ] {
        assert_ne!(validate(&job.replace(right, wrong)).code, 0, "{wrong}");
    }
}

#[test]
#[ignore = "needs Node.js and npm's @taplo/cli; .ci/run calls it"]
fn an_editor_finds_errors_by_the_schema() {
    let workplace = Workplace::new(1);
    let example =
        std::fs::read_to_string(Path::new(REPOSITORY).join("config.example.toml")).unwrap();
    workplace.write("config.toml", &example);
    // As the page says, with the program on the path.
    let steps = lines_of("## Check the configuration in an editor").join("\n");
    let steps = steps.replace("access-invite ", "\"$PROGRAM\" ");
    run(Command::new("sh")
        .args(["-e", "-c", &steps])
        .env("PROGRAM", binary())
        .current_dir(workplace.path()));
    let lint = || {
        output_of(
            Command::new("node")
                .arg(Path::new(REPOSITORY).join("tests/npm/node_modules/@taplo/cli/dist/cli.js"))
                .args(["lint", "config.toml"])
                .current_dir(workplace.path()),
        )
    };
    let valid = lint();
    assert_eq!(valid.code, 0, "{valid:?}");
    let text = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    assert!(text.starts_with("#:schema ./config.schema.json\n"));
    for (right, wrong, what) in [
        ("\nhost = ", "\nhots = ", "'hots' was unexpected"),
        (
            "# connections = 2",
            "connections = 101 #",
            "101 is greater than the maximum of 100",
        ),
        (
            "# sharing = true",
            "sharing = 'yes' #",
            "\"yes\" is not of type \"boolean\"",
        ),
    ] {
        workplace.write("config.toml", &text.replace(right, wrong));
        let refused = lint();
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(what), "{refused:?}");
    }
    let program = workplace.run(&["check"]);
    assert_eq!(program.code, 78, "{program:?}");
}
