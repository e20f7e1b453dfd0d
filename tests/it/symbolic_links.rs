//! A folder that a command writes into may be one in which others write, too: no symbolic link below it is followed.

use std::fs;
use std::os::unix::fs::symlink;

use super::support::local::package;
use super::support::process::{Home, Said};
use super::support::site::Site;

const LOCAL: &str = "server: { listen: 127.0.0.1:0, ops_listen: 127.0.0.1:0 }\n\
                     storage: { path: data }\n\
                     default_repository: acme\n\
                     repositories:\n  acme: { type: local, name: acme }\n";

/// A home with one local release.
fn local() -> Home {
    let home = Home::new(LOCAL);
    fs::create_dir(home.path("tarballs")).unwrap();
    fs::write(home.path("tarballs/core-1.0.0.tar"), package("core", "1.0.0", "")).unwrap();
    let imported = home.run(&["import", "acme", "tarballs"]);
    assert_eq!(imported.code, 0, "{imported:?}");
    home
}

/// A folder of somebody else with a file in it, and a link to it at `link`.
fn lead_away(home: &Home, link: &str) {
    fs::create_dir_all(home.path("theirs")).unwrap();
    fs::write(home.path("theirs/12-0"), "precious").unwrap();
    let link = home.path(link);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(home.path("theirs"), link).unwrap();
}

/// The command has refused, named the link, and left what it leads to as it was.
fn is_refused(home: &Home, said: &Said, link: &str) {
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{link}: {said:?}");
    let named = format!("{link}\" is a symbolic link, which is not followed; remove it, or use another folder");
    assert!(said.stderr.contains(&named), "{link}: {said:?}");
    is_untouched(home, link);
}

fn is_untouched(home: &Home, story: &str) {
    let there: Vec<_> = fs::read_dir(home.path("theirs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there, ["12-0"], "{story}");
    assert_eq!(fs::read_to_string(home.path("theirs/12-0")).unwrap(), "precious", "{story}");
}

#[test]
fn a_backup_empties_no_folder_of_others() {
    let home = local();
    lead_away(&home, "out/.hexkeep-tmp");
    is_refused(&home, &home.run(&["backup", "out/saved.tar"]), "out/.hexkeep-tmp");
    fs::remove_file(home.path("out/.hexkeep-tmp")).unwrap();
    // The name itself may be taken by a link that leads nowhere.
    symlink(home.path("theirs/new"), home.path("out/saved.tar")).unwrap();
    let said = home.run(&["backup", "out/saved.tar"]);
    assert!(said.code == 1 && said.stderr.contains("already exists; choose a new file"), "{said:?}");
    is_untouched(&home, "a dangling link");
    assert_eq!(home.run(&["backup", "out/other.tar"]).code, 0);
}

#[test]
fn a_backup_takes_no_files_of_others() {
    let home = local();
    fs::create_dir(home.path("theirs")).unwrap();
    fs::write(home.path("theirs/12-0"), "precious").unwrap();
    for (link, target) in [
        ("data/keys/more.pem", "theirs/12-0"),
        ("data/keys/more", "theirs"),
        ("data/keys/gone.pem", "theirs/none"),
        ("data/local/acme/more-1.0.0.json", "theirs/12-0"),
    ] {
        symlink(home.path(target), home.path(link)).unwrap();
        is_refused(&home, &home.run(&["backup", "saved.tar"]), link);
        assert!(!home.path("saved.tar").exists(), "{link}");
        fs::remove_file(home.path(link)).unwrap();
    }
    // A folder in its place leads away with everything in it.
    for folder in ["data/keys", "data/local"] {
        fs::rename(home.path(folder), home.path("moved")).unwrap();
        symlink(home.path("moved"), home.path(folder)).unwrap();
        is_refused(&home, &home.run(&["backup", "saved.tar"]), folder);
        fs::remove_file(home.path(folder)).unwrap();
        fs::rename(home.path("moved"), home.path(folder)).unwrap();
    }
    let saved = home.run(&["backup", "saved.tar"]);
    assert_eq!(saved.code, 0, "{saved:?}");
}

#[test]
fn a_store_that_others_may_write_in_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = local();
    for (folder, mode, warned) in [
        ("", 0o700, false),
        ("", 0o755, false),
        ("", 0o775, true),
        ("", 0o777, true),
        ("keys", 0o702, true),
        ("local", 0o720, true),
    ] {
        let path = home.data().join(folder);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (code, log) = home.serve().stop();
        fs::set_permissions(&path, before).unwrap();
        assert_eq!(code, Some(0), "{folder} {mode:o}");
        let said = "other users can write to this folder of the store";
        assert_eq!(log.contains(said), warned, "{folder} {mode:o}: {log}");
    }
}

#[test]
fn a_restore_writes_to_no_folder_of_others() {
    let home = local();
    assert_eq!(home.run(&["backup", "saved.tar"]).code, 0);
    for link in ["data/tmp", "data/keys"] {
        let other = Home::new(LOCAL);
        fs::copy(home.path("saved.tar"), other.path("saved.tar")).unwrap();
        // As an earlier restore that was interrupted leaves it.
        fs::create_dir(other.data()).unwrap();
        fs::write(other.data().join("FORMAT"), "hexkeep-restore 1\n").unwrap();
        lead_away(&other, link);
        let said = other.run(&["restore", "saved.tar"]);
        if link == "data/tmp" {
            is_refused(&other, &said, link);
        } else {
            // Removed with what the earlier attempt has left.
            assert_eq!(said.code, 0, "{said:?}");
            assert!(!other.path(link).is_symlink());
            is_untouched(&other, link);
        }
    }
}

#[test]
fn a_rebuild_reads_no_files_of_others() {
    let home = local();
    assert_eq!(home.run(&["reindex", "acme"]).code, 0);
    let sidecar = fs::read_dir(home.path("data/local/acme")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&sidecar, home.path("moved.json")).unwrap();
    symlink(home.path("moved.json"), &sidecar).unwrap();
    let said = home.run(&["reindex", "acme"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("is a symbolic link, which is not followed"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrors_folder_and_a_bundle_lead_nowhere_else() {
    let site = Site::with(&[("jason", "1.4.4")], 1024, "").await;
    site.publish();
    site.upstream.serve("/docs/jason-1.4.4.tar.gz", &b"docs"[..]);
    let home = &site.home;
    let mirror = || home.run(&["mirror", "hexpm", "--docs", "--to", "tree"]);
    for link in ["tree/.hexkeep-tmp", "tree/packages", "tree/tarballs", "tree/docs", "tree/names", "tree/public_key"] {
        lead_away(home, link);
        is_refused(home, &mirror(), link);
        fs::remove_dir_all(home.path("tree")).unwrap();
    }
    let said = mirror();
    assert_eq!(said.code, 0, "{said:?}");
    // What is written already is compared, and what is gone is removed, without a look at what a link leads to.
    fs::remove_file(home.path("tree/tarballs/jason-1.4.4.tar")).unwrap();
    lead_away(home, "tree/tarballs/jason-1.4.4.tar");
    is_refused(home, &mirror(), "tree/tarballs/jason-1.4.4.tar");
    // The folder itself is where whoever names it says that it is.
    symlink(home.path("tree2"), home.path("way")).unwrap();
    fs::create_dir(home.path("tree2")).unwrap();
    let said = home.run(&["mirror", "hexpm", "--to", "way"]);
    assert_eq!(said.code, 0, "{said:?}");

    site.lock("mix.lock", &[("jason", "1.4.4")]);
    lead_away(home, "out/.hexkeep-tmp");
    let said = home.run(&["bundle", "create", "--lock", "mix.lock", "-o", "out/build.bundle"]);
    is_refused(home, &said, "out/.hexkeep-tmp");
}
