//! What every command does with its output, its arguments and its variables, and what a daemon does at a limit of its
//! process.

use std::fs::File;

use hexkeep::store::StoreLock;

use super::support::process::Home;

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      log: { format: json }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local }\n";

fn has_an_administrator(home: &Home) -> String {
    let added = home.run(&["user", "add", "root", "--admin", "--no-password"]);
    assert_eq!(added.code, 0, "{added:?}");
    let key =
        home.run(&["key", "create", "k", "--user", "root", "--permission", "api", "--permission", "repositories"]);
    assert_eq!(key.code, 0, "{key:?}");
    key.stdout.trim().to_owned()
}

#[test]
fn a_command_whose_output_cannot_be_written_fails() {
    let home = Home::new(CONFIG);
    has_an_administrator(&home);
    let commands: [&[&str]; 7] = [
        &["key", "create", "lost", "--user", "root", "--permission", "api"],
        &["public-key", "acme"],
        &["public-key", "acme", "--list"],
        &["show-config"],
        &["check-config"],
        &["user", "list"],
        &["--help"],
    ];
    for command in commands {
        let full = home.run_into(command, File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(full.code, 1, "{command:?}: {full:?}");
        let expected = "hexkeep: cannot write to standard output: No space left on device";
        assert!(full.stderr.contains(expected), "{command:?}: {full:?}");
        // A reader that has seen enough is no error.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let command: Vec<&str> = command.iter().map(|word| if *word == "lost" { "seen" } else { *word }).collect();
        let closed = home.run_into(&command, writer);
        assert_eq!(closed.code, 0, "{command:?}: {closed:?}");
    }
}

#[test]
fn wrong_arguments_do_not_reach_the_terminal_as_they_are() {
    let home = Home::new(CONFIG);
    let odd = "\u{202e}\u{9b}31m\u{7}";
    for arguments in [&[odd][..], &["user", odd], &[&format!("--{odd}")], &["purge", "a", "b", "c", odd]] {
        let refused = home.run_with(arguments, &[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains("\\u{202e}\\u{9b}31m"), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{refused:?}");
    }
}

#[test]
fn a_password_is_taken_whole_or_refused() {
    let home = Home::new(CONFIG);
    has_an_administrator(&home);
    for (password, is_taken) in [
        ("a".repeat(1024), true),
        ("é".repeat(512), true),
        ("a".repeat(1025), false),
        (format!("{}é", "a".repeat(1023)), false),
        ("é".repeat(3000), false),
        (format!("a{}", "é".repeat(3000)), false),
        ("a".repeat(20_000), false),
        (format!("{}\u{1f511}", "a".repeat(1022)), false),
    ] {
        let said = home.run_fed(&["user", "password", "root"], &format!("{password}\r\n"));
        assert_eq!(said.code == 0, is_taken, "{} bytes: {said:?}", password.len());
        if !is_taken {
            assert_eq!(said.stderr, "hexkeep: password: should be at most 1024 byte(s)\n");
        }
    }
}

#[test]
fn an_override_that_is_no_text_is_a_problem() {
    let home = Home::new(CONFIG);
    let refused = home.run_with_bytes(&["check-config"], "HEXKEEP_STORAGE__PATH", b"/tmp/\xff");
    assert_eq!(refused.code, 64, "{refused:?}");
    assert_eq!(
        refused.stderr,
        "environment variable HEXKEEP_STORAGE__PATH: the name and the value of an override must be UTF-8 text; correct or \
         unset the variable\n"
    );
    let refused = home.run_with_bytes(&["check-config"], "HEXKEEP__", b"x");
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.stderr.starts_with("environment variable HEXKEEP__: invalid name of an override"), "{refused:?}");
    assert_eq!(home.run_with_bytes(&["check-config"], "OTHER", b"\xff").code, 0);
}

#[test]
fn another_process_that_uses_the_store_need_not_be_a_daemon() {
    let home = Home::new(CONFIG);
    has_an_administrator(&home);
    let _other = StoreLock::take(&home.data()).unwrap();
    let refused = home.run(&["user", "list"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let expected = "hexkeep: another hexkeep process uses the store, and no daemon answers at ";
    assert!(refused.stderr.starts_with(expected), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_file_sizes_fails_a_write_and_not_the_daemon() {
    let home = Home::new(CONFIG);
    let key = has_an_administrator(&home);
    // At most 4 or 8 MiB, in blocks of 512 or 1024 bytes.
    let daemon = home.serve_limited("ulimit -f 8192");
    let body = vec![7_u8; 12 * 1024 * 1024];
    let publish = daemon.client.put(format!("{}/tarballs/core-1.0.0.tar", daemon.url()));
    let publish = publish.header("authorization", &key).header("user-agent", "test");
    let answer = publish.body(body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 500, "{}", answer.text().await.unwrap());
    assert_eq!(daemon.get("/public_key").await.status, 200);
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
}
