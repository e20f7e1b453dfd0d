//! `hexkeep import`, beside a running daemon and on a store at rest.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::support::local::{docs, package};
use super::support::process::{Home, Said};

const CONFIG: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                      storage: { path: data }\n\
                      default_repository: acme\n\
                      repositories:\n  acme: { type: local, anonymous_read: true }\n";

fn write(home: &Home, file: &str, bytes: &Bytes) {
    let path = home.path(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn needs(name: &str) -> String {
    format!(
        "{{<<\"requirements\">>,[[{{<<\"name\">>,<<\"{name}\">>}},{{<<\"requirement\">>,<<\"~> 1.0\">>}},\
         {{<<\"optional\">>,false}},{{<<\"repository\">>,<<\"acme\">>}}]]}}."
    )
}

fn done(published: usize, documented: usize, there: usize, unused: usize) -> String {
    let releases = if published == 1 { "release was" } else { "releases were" };
    let files = if unused == 1 { "file" } else { "files" };
    format!(
        "{published} {releases} published, {documented} documentation archives added, {there} files were already published, {unused} {files} \
         could not be published\n"
    )
}

/// Runs an import beside a daemon, or on the store at rest.
fn both(test: impl Fn(&Home, bool)) {
    for running in [true, false] {
        let home = Home::new(CONFIG);
        let daemon = running.then(|| home.serve());
        test(&home, running);
        drop(daemon);
    }
}

#[test]
fn a_folder_is_imported_and_imported_again() {
    both(|home, running| {
        // The one that depends comes first by its name.
        write(home, "old/tarballs/api-1.0.0.tar", &package("api", "1.0.0", &needs("web")));
        write(home, "old/tarballs/web-1.0.0.tar", &package("web", "1.0.0", &needs("zip")));
        write(home, "old/tarballs/zip-1.0.0.tar", &package("zip", "1.0.0", ""));
        write(home, "old/docs/zip-1.0.0.tar.gz", &docs("zip"));
        write(home, "old/docs/zip-9.0.0.tar.gz", &docs("zip"));
        write(home, "old/tarballs/broken-1.0.0.tar", &Bytes::from_static(b"x"));
        write(home, "old/tarballs/lost-1.0.0.tar", &package("lost", "1.0.0", &needs("nowhere")));
        let first = home.run(&["import", "acme", "old"]);
        assert_eq!(
            (first.code, first.stdout.as_str()),
            (1, done(3, 1, 0, 3).as_str()),
            "running: {running}: {first:?}"
        );
        let bad: Vec<&str> = first.stderr.lines().collect();
        let expected = [
            ("broken-1.0.0.tar", "tar: "),
            ("lost-1.0.0.tar", "requirements.nowhere: package does not exist"),
            ("zip-9.0.0.tar.gz", "the release of this documentation is not published"),
        ];
        assert_eq!(bad.len(), expected.len(), "{bad:?}");
        for (line, (file, why)) in bad.iter().zip(expected) {
            assert!(line.contains(file) && line.contains(why), "{line}");
        }
        let again = home.run(&["import", "acme", "old"]);
        assert_eq!((again.code, again.stdout.as_str()), (1, done(0, 0, 4, 3).as_str()), "running: {running}");
    });
}

#[test]
fn a_data_folder_of_mini_repo_is_imported() {
    both(|home, running| {
        write(home, "data_of_old/repos/acme/tarballs/core-1.0.0.tar", &package("core", "1.0.0", ""));
        write(home, "data_of_old/repos/acme/docs/core/1.0.0/core-1.0.0.tar.gz", &docs("core"));
        write(home, "data_of_old/repos/acme/docs/core/1.0.0/index.html", &Bytes::from_static(b"core"));
        write(home, "data_of_old/repos/acme/names", &Bytes::from_static(b"signed by another"));
        write(home, "data_of_old/repos/other/tarballs/other-1.0.0.tar", &package("other", "1.0.0", ""));
        let whole = home.run(&["import", "acme", "data_of_old"]);
        assert_eq!(whole, said(0, &done(1, 1, 0, 0), ""), "running: {running}");
        let one = home.run(&["import", "acme", "data_of_old/repos/other"]);
        assert_eq!(one, said(0, &done(1, 0, 0, 0), ""), "running: {running}");
    });
}

#[test]
fn what_cannot_be_imported_is_said() {
    both(|home, _| {
        write(home, "other/repos/one/tarballs/core-1.0.0.tar", &package("core", "1.0.0", ""));
        fs::create_dir(home.path("empty")).unwrap();
        for (args, why) in [
            (["import", "acme", "nowhere"], "nowhere: No such file or directory"),
            (["import", "acme", "empty"], "there are no tarballs in "),
            (["import", "acme", "other"], "has no folder `acme`; choose the folder of one repository: one"),
            (["import", "nothing", "empty"], "there is no repository `nothing`"),
        ] {
            let refused = home.run(&args);
            assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{args:?}");
            assert!(refused.stderr.contains(why), "{args:?}: {}", refused.stderr);
        }
        assert!(!Path::new(&home.path("empty/tarballs")).exists());
    });
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_as_it_is() {
    both(|home, running| {
        let mut garbage = b"secret\x1b[31m\x1b]0;title\x07".to_vec();
        garbage.resize(2048, b'x');
        write(home, "old/a-1.0.0.tar", &garbage.into());
        let mut entry = tar::Header::new_ustar();
        let name = "\u{1b}[31m\u{202e}red".as_bytes();
        entry.as_old_mut().name[..name.len()].copy_from_slice(name);
        entry.set_size(0);
        entry.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&entry, &[][..]).unwrap();
        write(home, "old/b-1.0.0.tar", &archive.into_inner().unwrap().into());
        fs::write(home.path("lines"), "root:secret:0:0\n".repeat(100)).unwrap();
        std::os::unix::fs::symlink(home.path("lines"), home.path("old/c-1.0.0.tar")).unwrap();
        let refused = home.run(&["import", "acme", "old"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, done(0, 0, 0, 3).as_str()), "running: {running}");
        let said = &refused.stderr;
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(said.matches("it is not a tar archive, or it is damaged").count(), 2, "{said}");
        assert!(said.contains("\\u{1b}[31m\\u{202e}red"), "{said}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{said:?}");
    });
}

fn said(code: i32, stdout: &str, stderr: &str) -> Said {
    Said { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}
