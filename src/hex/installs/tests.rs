//! Tests with paths and lists of installers as upstreams have them.

use proptest::prelude::*;

use super::*;

fn parse(path: &str) -> Option<InstallsPath> {
    InstallsPath::parse(&path.split('/').collect::<Vec<_>>())
}

fn file(path: &str) -> InstallFile {
    match parse(path) {
        Some(InstallsPath::File(file)) => file,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn every_path_that_clients_ask_for_spells_itself_again() {
    for (path, list) in [
        ("installs/hex-1.x.csv", None),
        ("installs/hex-1.x.csv.signed", None),
        ("installs/rebar3-1.x.csv", None),
        ("installs/rebar-1.x.csv.signed", None),
        ("installs/hex.csv", None),
        ("installs/rebar.csv", None),
        ("builds/elixir/builds.txt", None),
        ("builds/otp/ubuntu-22.04/builds.txt", None),
        ("builds/otp/amd64/ubuntu-24.04/builds.txt", None),
        ("installs/1.14.0/hex-2.0.6.ez", Some("installs/hex-1.x.csv")),
        ("installs/1.14.0/hex.ez", Some("installs/hex-1.x.csv")),
        ("installs/1.18.0/hex-2.2.2-otp-27.ez", Some("installs/hex.csv")),
        ("installs/1.14.0/rebar3-3.22.0", Some("installs/rebar3-1.x.csv")),
        ("installs/1.18.4/rebar3-3.25.1-otp-28", Some("installs/rebar.csv")),
        ("installs/1.0.0/rebar-2.6.2", Some("installs/rebar-1.x.csv")),
        ("installs/1.3.0-rc.1/rebar3", Some("installs/rebar3-1.x.csv")),
        ("builds/elixir/v1.18.4-otp-27.zip", Some("builds/elixir/builds.txt")),
        ("builds/elixir/main.zip", Some("builds/elixir/builds.txt")),
        ("builds/otp/ubuntu-22.04/OTP-25.0.tar.gz", Some("builds/otp/ubuntu-22.04/builds.txt")),
        ("builds/otp/arm64/ubuntu-24.04/maint-27.tar.gz", Some("builds/otp/arm64/ubuntu-24.04/builds.txt")),
    ] {
        let parsed = parse(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(parsed.path(), path);
        let named_by = match &parsed {
            InstallsPath::File(file) => Some(file.list().path()),
            InstallsPath::List(_) | InstallsPath::Signature(_) => None,
        };
        assert_eq!(named_by.as_deref(), list, "{path}");
        if let InstallsPath::List(list) = parsed {
            assert_eq!(List::from_file_name(&list.file_name()), Some(list), "{path}");
        }
    }
}

#[test]
fn nothing_else_is_asked_for() {
    for path in [
        "installs",
        "installs/",
        "installs/hex-9.x.csv",
        "installs/public_keys.html",
        "installs/hex.ez",
        "installs/../hex-1.x.csv",
        "installs/1.14.0/hex-.ez",
        "installs/1.14.0/hex-2.0.6",
        "installs/1.14.0/hex-2.0.6.ez/x",
        "installs/1.14.0/hex-2.0.6-otp-x.ez",
        "installs/1.14.0/hex-..ez",
        "installs/main/hex-2.0.6.ez",
        "installs/1.14.0/rebar4-1.0.0",
        "installs/1.14.0/rebar-2.6.2-otp-25",
        "installs/1.14.0/hex-2.0.6.ez.signed",
        "builds/elixir/.zip",
        "builds/elixir/v1.0.0.tar.gz",
        "builds/elixir/../x.zip",
        "builds/elixir/a b.zip",
        "builds/elixir/builds.txt.signed",
        "builds/otp/builds.txt",
        "builds/otp/../builds.txt",
        "builds/otp/a/b/c/builds.txt",
        "builds/otp/ubuntu-22.04/OTP-25.0.zip",
        "builds/gleam/builds.txt",
    ] {
        assert_eq!(parse(path), None, "{path}");
    }
    for name in ["", "hex.ez", "otp+", "otp+a+b+c", "otp+..", "builds"] {
        assert_eq!(List::from_file_name(name), None, "{name}");
    }
}

#[test]
fn the_last_line_that_names_a_file_counts() {
    let (old, new, other) = ("0".repeat(128), "1".repeat(128), "2".repeat(128));
    let text = format!(
        "2.0.5,{other},1.14.0\n2.0.6,{old},1.14.0,1.13.0\nnonsense\n2.0.6,short,1.12.0\n2.0.6,{new},1.14.0\r\n\
         2.0.7,{other},1.15.0\n"
    );
    let find = |path: &str| List::ForElixir(Tool::Hex).find(text.as_bytes(), &file(path));
    let listed = |path: &str, digest: &str| {
        let checksum = Some(ListedChecksum::Sha512(Sha512::from_hex(digest).unwrap()));
        Some(ListedInstaller { path: path.to_owned(), checksum })
    };
    let path = "installs/1.14.0/hex-2.0.6.ez";
    assert_eq!(find(path), listed(path, &new));
    assert_eq!(find("installs/1.14.0/hex.ez"), listed(path, &new), "the newest for this Elixir");
    assert_eq!(find("installs/1.13.0/hex-2.0.6.ez"), listed("installs/1.13.0/hex-2.0.6.ez", &old));
    assert_eq!(find("installs/1.12.0/hex-2.0.6.ez"), None, "its checksum is none");
    assert_eq!(find("installs/1.13.0/hex-2.0.7.ez"), None);
    assert_eq!(List::ForElixir(Tool::Hex).find(b"\xff", &file(path)), None);
}

#[test]
fn a_page_is_no_list() {
    let page = b"<html><body>Please log in, 1,2,3 and 0123abcd</body></html>\n";
    let csv = format!("2.0.6,{},1.14.0\n", "0".repeat(128));
    let builds = "OTP-17.0 0123abcd 2016-01-01T00:00:00Z\n";
    for (list, text) in [(List::ForElixir(Tool::Hex), csv.as_str()), (List::Elixir, builds)] {
        assert!(list.has_entries(text.as_bytes()), "{list}");
        assert!(!list.has_entries(page) && !list.has_entries(b"") && !list.has_entries(b"\xff"), "{list}");
    }
    assert_eq!(List::ForElixir(Tool::Hex).checksums(csv.as_bytes()).count(), 1);
    assert_eq!(List::Elixir.checksums(builds.as_bytes()).count(), 0);
}

#[test]
fn lists_with_an_otp_column() {
    let text = format!("2.2.2,{},1.18.0,26\n2.2.2,{},1.18.0,27\n", "0".repeat(128), "1".repeat(128));
    let find = |path: &str| List::ForOtp(Tool::Hex).find(text.as_bytes(), &file(path)).map(|found| found.path);
    assert_eq!(find("installs/1.18.0/hex-2.2.2-otp-27.ez").unwrap(), "installs/1.18.0/hex-2.2.2-otp-27.ez");
    assert_eq!(find("installs/1.18.0/hex-2.2.2-otp-28.ez"), None);
    assert_eq!(find("installs/27/hex-2.2.2-otp-27.ez"), None);
}

#[test]
fn builds_have_their_checksum_in_the_fourth_column() {
    let digest = Sha256::of(b"x");
    let text = format!(
        "OTP-17.0 0123abcd 2016-01-01T00:00:00Z\nOTP-27.0 0123abcd 2024-05-20T10:00:00Z {digest}\n\
         OTP-27.0-rc1 0123abcd 2024-05-20T10:00:00Z nonsense\n"
    );
    let find = |reference: &str| {
        let path = format!("builds/otp/ubuntu-22.04/{reference}.tar.gz");
        let found = List::Otp("ubuntu-22.04".into()).find(text.as_bytes(), &file(&path));
        found.map(|listed| listed.checksum)
    };
    assert_eq!(find("OTP-27.0"), Some(Some(ListedChecksum::Sha256(digest))));
    assert_eq!(find("OTP-17.0"), Some(None));
    assert_eq!(find("OTP-27.0-rc1"), Some(None));
    assert_eq!(find("OTP-26.0"), None);
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_as_it_was(
        path in "(installs|builds)/((elixir|otp|[0-9.]{1,6}|amd64|ubuntu-2)/){0,3}[a-z0-9.-]{1,16}(\\.ez|\\.zip|\\.tar\\.gz|\\.csv|\\.signed)?"
    ) {
        if let Some(parsed) = parse(&path) {
            prop_assert_eq!(parsed.path(), path);
        }
    }

    #[test]
    fn no_list_panics(text in prop::collection::vec(any::<u8>(), 0..200), lines in "[0-9a-f., \n]{0,80}") {
        for path in ["installs/1.14.0/hex.ez", "installs/1.14.0/hex-1.0.0-otp-2.ez", "builds/elixir/a.zip"] {
            let file = file(path);
            file.list().find(&text, &file);
            file.list().find(lines.as_bytes(), &file);
        }
    }
}
