//! What a command asks at a terminal. `script` of util-linux gives it one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::support::local::package;
use super::support::process::Home;

/// Runs a command at a terminal, at which `typed` is typed: exit code, and what is on the screen. `None` where there is no
/// `script`.
fn at_a_terminal(home: &Home, args: &str, typed: &str) -> Option<(i32, String)> {
    let order = format!("{} --config hexkeep.yaml {args}", env!("CARGO_BIN_EXE_hexkeep"));
    let started = Command::new("script")
        .args(["--quiet", "--return", "--command", &order, "/dev/null"])
        .current_dir(home.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no `script`");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn a_name_is_given_back_when_it_is_typed_once_more() {
    let home = Home::new(
        "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\nstorage: { path: data }\n\
         default_repository: acme\nrepositories: { acme: { type: local } }\n",
    );
    std::fs::create_dir(home.path("tarballs")).unwrap();
    std::fs::write(home.path("tarballs/core-1.0.0.tar"), package("core", "1.0.0", "")).unwrap();
    assert_eq!(home.run(&["import", "acme", "tarballs"]).code, 0);
    let removed = home.run(&["release", "remove", "acme", "core", "--reason", "leaked"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    let given_back = "removed the claim of acme to core";
    for typed in ["cor\n", "acme\n", "y\n", "\n", ""] {
        let Some((code, screen)) = at_a_terminal(&home, "release forget acme core", typed) else { return };
        assert_eq!(code, 1, "{typed:?}: {screen}");
        assert!(
            screen.contains("After this, a public package `core` can be served in place of the one that `acme` had."),
            "{screen}"
        );
        assert!(screen.contains("Type the name of the package to confirm:"), "{screen}");
        assert!(screen.contains("the names differ: nothing was changed"), "{typed:?}: {screen}");
        assert!(!screen.contains(given_back), "{screen}");
    }
    let asked = home.run_fed(&["release", "forget", "acme", "core"], "core\n");
    assert!(
        asked.code == 1 && asked.stderr.contains("add --yes to confirm"),
        "what is no terminal is not asked: {asked:?}"
    );
    let Some((code, screen)) = at_a_terminal(&home, "release forget acme core", "core\n") else { return };
    assert!(code == 0 && screen.contains(given_back), "{screen}");
    let again = home.run(&["release", "forget", "acme", "core", "--yes"]);
    assert!(again.code == 1 && again.stderr.contains("never had"), "{again:?}");
}
