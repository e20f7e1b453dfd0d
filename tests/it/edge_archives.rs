//! Packages and documentation whose files would leave the place where they are unpacked, or lie on one another: refused on
//! every way in.

use bytes::Bytes;
use reqwest::Method;
use tar::EntryType;

use super::support::hub::{Hub, Wishes};
use super::support::local::package;
use super::support::tarballs::{gzip, pack};

/// An entry: its kind, its path, where it leads, what it holds.
type Item<'a> = (EntryType, &'a str, &'a str, &'a str);

/// Written raw: the library itself does not write most of these paths.
fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, path, target, content) in items {
        let mut header = tar::Header::new_ustar();
        for (to, from) in header.as_old_mut().name.iter_mut().zip(path.bytes()) {
            *to = from;
        }
        for (to, from) in header.as_old_mut().linkname.iter_mut().zip(target.bytes()) {
            *to = from;
        }
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn file<'a>(path: &'a str, content: &'a str) -> Item<'a> {
    (EntryType::Regular, path, "", content)
}

fn link<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    (EntryType::Symlink, path, target, "")
}

fn tarball(name: &str, items: &[Item<'_>]) -> Bytes {
    let metadata = format!(
        "{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"version\">>,<<\"1.0.0\">>}}.\n{{<<\"app\">>,<<\"{name}\">>}}.\n\
         {{<<\"description\">>,<<\"Does things\">>}}.\n{{<<\"files\">>,[<<\"a\">>]}}.\n\
         {{<<\"build_tools\">>,[<<\"rebar3\">>]}}.\n"
    );
    pack(metadata.as_bytes(), &gzip(&archive(items))).0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_its_place_or_lies_on_another_file_is_taken_on_no_way() {
    let acme = "acme: { type: local, anonymous_read: true, mutability: always }";
    let hub = Hub::with(Wishes { more: vec![acme.to_owned()], ..Wishes::default() }).await;
    let root = hub.user("root", true).await;
    assert_eq!(hub.publish_to_acme(&root, "core", package("core", "1.0.0", "")).await.status, 201);
    let cases: [(&str, &[Item<'_>], &str); 14] = [
        (
            "through a link",
            &[(EntryType::Directory, "d", "", ""), link("d/l", ".."), file("d/l/../x", "")],
            "points above",
        ),
        ("up and down", &[file("d/../x", "")], "points above"),
        ("a backslash", &[file("d\\..\\..\\x", "")], "points above"),
        ("twice", &[file("x", "1"), file("x", "2")], "occurs twice"),
        ("with a dot", &[file("x", "1"), file("./x", "2")], "occurs twice"),
        ("with two slashes", &[file("d/x", "1"), file("d//x", "2")], "occurs twice"),
        ("with a slash in front", &[file("x", "1"), file("/x", "2")], "occurs twice"),
        ("in another case", &[file("lib/x", "1"), file("Lib/X", "1")], "occurs twice"),
        ("in another script's case", &[file("\u{e4}", "1"), file("\u{c4}", "1")], "occurs twice"),
        ("composed and not", &[file("\u{e9}", "1"), file("e\u{301}", "1")], "occurs twice"),
        ("the sign of Kelvin", &[file("k", "1"), file("\u{212a}", "1")], "occurs twice"),
        ("below a file", &[file("x", "1"), file("X/y", "2")], "a file below a file"),
        ("above a file", &[file("x/y", "1"), file("x", "2")], "occurs twice"),
        ("a link over a folder", &[file("d/x", "1"), link("D", "d")], "occurs twice"),
    ];
    let folder = hub.data().with_file_name("folder");
    std::fs::create_dir(&folder).unwrap();
    for (at, (what, items, why)) in cases.into_iter().enumerate() {
        let name = format!("bad{at}");
        let mut all = vec![file("a", "x")];
        all.extend_from_slice(items);
        let bytes = tarball(&name, &all);
        for (method, path) in [
            (Method::PUT, "/repos/acme/tarballs/".to_owned()),
            (Method::POST, "/api/repos/acme/publish".to_owned()),
            (Method::POST, format!("/api/repos/acme/packages/{name}/releases")),
        ] {
            let answer = hub.call(method, &path, &root, "application/octet-stream", Some(bytes.clone())).await;
            let text = answer.text();
            assert!(answer.status == 422 && text.contains(why), "{what}: {path}: {}: {text}", answer.status);
        }
        let mut pages = vec![file("index.html", "x")];
        pages.extend_from_slice(items);
        let docs = Some(Bytes::from(gzip(&archive(&pages))));
        let path = "/api/repos/acme/packages/core/releases/1.0.0/docs";
        let answer = hub.call(Method::POST, path, &root, "application/octet-stream", docs).await;
        let text = answer.text();
        assert!(answer.status == 422 && text.contains(why), "{what}: docs: {}: {text}", answer.status);
        std::fs::write(folder.join(format!("{name}-1.0.0.tar")), &bytes).unwrap();
    }
    let (code, said, errors) = hub.command(&["import", "acme", &folder.display().to_string()]).await;
    assert_eq!((code, said.starts_with("0 releases were published")), (1, true), "{said}{errors}");
    for (what, items) in [
        ("the same file twice", &[file("x", "1"), file("./x", "1")][..]),
        ("folders in two cases", &[file("Lib/x", "1"), file("lib/y", "1")]),
        ("a link that stays inside", &[file("d/x", "1"), link("d/l", "../a"), link("all", "d")]),
    ] {
        let mut all = vec![file("a", "x")];
        all.extend_from_slice(items);
        let answer = hub.publish_to_acme(&root, "good", tarball("good", &all)).await;
        assert!(matches!(answer.status, 200 | 201), "{what}: {}", answer.text());
    }
}
