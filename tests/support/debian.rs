//! A Debian without anything else in a folder, the package of this program, and systemd in it. Needs root and the right
//! to mount.
//!
//! `ACCESS_INVITE_DEBIAN` names the archive that `mmdebstrap` made of it. `ACCESS_INVITE_DEB` names a package that cargo-deb
//! built; without it, the tests put one together from the same declarations, because building cargo-deb takes minutes.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::peers::run;
use super::{Output, binary};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// A folder to which the tests can change the root.
pub struct Debian {
    folder: tempfile::TempDir,
}

/// Runs a command as root or as a user without any privilege, as the tests cannot have `sudo`, which needs a terminal.
const SUDO: &str = r#"#!/bin/sh
if [ "$1" = -u ]; then
    user=$2
    shift 2
    exec setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
fi
exec "$@"
"#;

/// Runs `/root/script` after the system has booted, and shuts it down.
const UNIT: &str = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/bin/sh /root/script\nExecStopPost=systemctl --no-block poweroff\n";

impl Debian {
    pub fn new() -> Self {
        let archive = archive();
        let debian = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(debian.path("")).unwrap();
        run(Command::new("tar")
            .arg("-C")
            .arg(debian.path(""))
            .arg("-xf")
            .arg(archive));
        debian.write("etc/hosts", "127.0.0.1 localhost\n");
        debian.write("usr/local/bin/sudo", SUDO);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(debian.path("usr/local/bin/sudo"), executable).unwrap();
        debian
    }

    /// A file of it, by its path without the first `/`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a script in it as root, with hardly any environment.
    pub fn run(&self, script: &str) -> Output {
        let output = Command::new("chroot")
            .arg(self.path(""))
            .args(["sh", "-e", "-c", script])
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output();
        Output::of(output.unwrap())
    }

    /// The output of a script that must succeed.
    #[track_caller]
    pub fn succeed(&self, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(output.code, 0, "{script}: {output:?}");
        output.stdout
    }

    /// Boots it with systemd on the network of this machine, runs a script, and returns what the script printed.
    pub fn boot(&self, script: &str) -> String {
        let wanted = "etc/systemd/system/multi-user.target.wants";
        std::fs::create_dir_all(self.path(wanted)).unwrap();
        let script = format!("exec >/root/transcript 2>&1\n{script}");
        self.write("root/script", &script);
        self.write("etc/systemd/system/script.service", UNIT);
        let link = self.path(wanted).join("script.service");
        let _ = std::fs::remove_file(&link);
        symlink("../script.service", link).unwrap();
        let _ = std::fs::remove_file(self.path("root/transcript"));
        let groups = ControlGroups::now();
        let output = Command::new("timeout")
            .args([
                "120",
                "systemd-nspawn",
                "--quiet",
                "--register=no",
                "--keep-unit",
            ])
            .arg(format!("--machine=access-invite-{}", std::process::id()))
            .args(["--boot", "--directory"])
            .arg(self.path(""))
            .stdin(Stdio::null())
            .output();
        drop(groups);
        let output = output.expect("systemd-nspawn is installed");
        let console = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{:?}: {console}", output.status);
        self.read("root/transcript")
    }

    /// Installs a package by its path on this machine.
    #[track_caller]
    pub fn install(&self, package: &Path) {
        let name = package.file_name().unwrap().to_str().unwrap();
        std::fs::copy(package, self.path("root").join(name)).unwrap();
        self.succeed(&format!("apt-get install -qq -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold /root/{name}"));
    }
}

/// The output of a program that is installed on this machine.
pub fn output_of(command: &mut Command) -> Output {
    let output = command.output();
    Output::of(output.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// The archive that `mmdebstrap` made.
pub fn archive() -> PathBuf {
    let archive = std::env::var_os("ACCESS_INVITE_DEBIAN");
    archive
        .expect("ACCESS_INVITE_DEBIAN names a Debian made by mmdebstrap; .ci/run makes it")
        .into()
}

/// Removes, when it is dropped, the control groups that a booted system leaves behind.
struct ControlGroups(Vec<PathBuf>);

impl ControlGroups {
    fn now() -> Self {
        let hierarchies = ["", "systemd", "unified"].map(|it| Path::new("/sys/fs/cgroup").join(it));
        let names = ["payload/init.scope", "payload", "supervisor"];
        let all = hierarchies
            .iter()
            .flat_map(|folder| names.map(|name| folder.join(name)));
        Self(all.filter(|it| !it.exists()).collect())
    }
}

impl Drop for ControlGroups {
    fn drop(&mut self) {
        for group in &self.0 {
            let _ = std::fs::remove_dir(group);
        }
    }
}

/// The declarations for cargo-deb in `Cargo.toml`.
pub fn declarations() -> toml::Table {
    let manifest = std::fs::read_to_string(Path::new(REPOSITORY).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["package"]["metadata"]["deb"]
        .as_table()
        .unwrap()
        .clone()
}

/// The package: the one that cargo-deb built, or one with the same files, scripts and dependencies.
pub fn package(folder: &Path) -> PathBuf {
    match std::env::var_os("ACCESS_INVITE_DEB") {
        Some(package) => package.into(),
        None => assemble(folder),
    }
}

fn assemble(folder: &Path) -> PathBuf {
    let generated = folder.join("generated");
    let script = Path::new(REPOSITORY).join("packaging/debian/files");
    run(Command::new(script).arg(binary()).arg(&generated));
    let declarations = declarations();
    let root = folder.join("package");
    for asset in declarations["assets"].as_array().unwrap() {
        let [source, target, mode] = [0, 1, 2].map(|it| asset[it].as_str().unwrap());
        let source = match source.strip_prefix("target/package/") {
            Some(name) => generated.join(name),
            None if source == "target/release/access-invite" => binary(),
            None => Path::new(REPOSITORY).join(source),
        };
        for (file, name) in files_of(source.to_str().unwrap()) {
            let mut place_at = root.join(target);
            if target.ends_with('/') {
                place_at.push(name);
            }
            place(&file, &place_at, u32::from_str_radix(mode, 8).unwrap());
        }
    }
    let packaging = Path::new(REPOSITORY).join("packaging");
    for unit in ["access-invite.service", "access-invite.timer"] {
        let target = root.join("usr/lib/systemd/system").join(unit);
        place(&packaging.join(unit), &target, 0o644);
    }
    let text = |key: &str| declarations[key].as_str().unwrap().to_owned();
    let control = format!(
        "Package: access-invite\nVersion: {}-1\nArchitecture: amd64\nMaintainer: {}\nSection: {}\nPriority: {}\nDepends: {}\nDescription: x\n",
        env!("CARGO_PKG_VERSION"),
        text("maintainer"),
        text("section"),
        text("priority"),
        text("depends").replace("$auto", "libc6 (>= 2.34)"),
    );
    let conffiles: Vec<&str> = declarations["conf-files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    std::fs::create_dir(root.join("DEBIAN")).unwrap();
    std::fs::write(root.join("DEBIAN/control"), control).unwrap();
    std::fs::write(root.join("DEBIAN/conffiles"), conffiles.join("\n") + "\n").unwrap();
    for script in ["postinst", "postrm"] {
        place(
            &packaging.join("debian").join(script),
            &root.join("DEBIAN").join(script),
            0o755,
        );
    }
    build(&root, &folder.join("access-invite.deb"))
}

/// The files of a pattern of cargo-deb, each with its name below the last folder without a `*`.
pub fn files_of(pattern: &str) -> Vec<(PathBuf, PathBuf)> {
    let Some((folder, names)) = pattern.split_once("/*") else {
        let path = PathBuf::from(pattern);
        let name = path.file_name().unwrap().into();
        return vec![(path, name)];
    };
    let recursive = names == "*/*";
    let ending = if recursive { "" } else { names };
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() {
                folders.extend(Some(path).filter(|_| recursive));
            } else if name.to_str().unwrap().ends_with(ending) {
                found.push((path, name));
            }
        }
    }
    found
}

fn place(from: &Path, to: &Path, mode: u32) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Another version of a package, with a line added to its configuration.
pub fn newer(package: &Path, folder: &Path) -> PathBuf {
    let root = folder.join("newer");
    run(Command::new("dpkg-deb")
        .arg("--raw-extract")
        .arg(package)
        .arg(&root));
    let change = |name: &str, change: &dyn Fn(String) -> String| {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(text)).unwrap();
    };
    let version = format!("Version: {}-1", env!("CARGO_PKG_VERSION"));
    change("DEBIAN/control", &|it| {
        it.replace(&version, "Version: 99.0.0-1")
    });
    change("etc/access-invite/config.toml", &|it| {
        it + "# of the newer version\n"
    });
    build(&root, &folder.join("newer.deb"))
}

fn build(root: &Path, package: &Path) -> PathBuf {
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "-z1", "--build"].map(OsStr::new))
        .args([root, package]));
    package.to_owned()
}
