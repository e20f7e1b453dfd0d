//! Tests of packages in local repositories on each engine: every statement is run.

use std::convert::Infallible;

use super::{Database, on_each_engine};
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::state::State;
use crate::state::audit::Actor;
use crate::state::claims::ForgottenName;
use crate::state::package_snapshot::PackageSnapshot;
use crate::state::packages::{Docs, OwnerLevel, ReleaseMetadata, Requirement, Retirement};
use crate::state::releases::{NewRelease, RestoredRelease, Subject};

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn about(tool: &str) -> ReleaseMetadata {
    ReleaseMetadata { app: "app".to_owned(), build_tools: vec![tool.to_owned()], ..ReleaseMetadata::default() }
}

fn needs(package: &str, repository: &str) -> Requirement {
    Requirement {
        package: package.to_owned(),
        requirement: "~> 1.0".to_owned(),
        optional: true,
        app: package.to_owned(),
        repository: repository.to_owned(),
    }
}

fn release<'a>(content: &'a Sha256, about: &'a ReleaseMetadata, requirements: &'a [Requirement]) -> NewRelease<'a> {
    NewRelease { inner: content, outer: content, size: 7, about, requirements, publisher: Some("alice") }
}

/// A `decide` function that allows everything.
pub(super) fn anything<T>(_: &T) -> Result<(), Infallible> {
    Ok(())
}

/// Publishes a release with this text as its content, if `decide` allows it.
pub(super) async fn try_publish<T, R>(
    state: &State,
    subject: Subject<'_>,
    content: &str,
    decide: impl Fn(&PackageSnapshot) -> Result<T, R>,
) -> Result<T, R> {
    let (content, about) = (Sha256::of(content.as_bytes()), about("mix"));
    state.publish(at(3), subject, &release(&content, &about, &[]), &Actor::console(), decide).await.unwrap()
}

/// Publishes a release with this text as its content.
pub(super) async fn publish(state: &State, subject: Subject<'_>, content: &str, now: u64) {
    let (content, about) = (Sha256::of(content.as_bytes()), about("mix"));
    let new = release(&content, &about, &[]);
    state.publish(at(now), subject, &new, &Actor::console(), anything).await.unwrap().unwrap();
}

async fn what_is_published_is_listed_found_and_removed(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
    let (mix, rebar) = (about("mix"), about("rebar3"));
    let core = ("acme", "core", Some("1.0.0"));
    state.publish(at(1), core, &release(&one, &mix, &[]), &by, anything).await.unwrap().unwrap();
    let web = [needs("core", "acme"), needs("plug", "hexpm")];
    state
        .publish(at(2), ("acme", "Web", Some("1.0.0")), &release(&two, &rebar, &web), &by, anything)
        .await
        .unwrap()
        .unwrap();
    state
        .publish(at(3), ("acme", "core", Some("1.1.0")), &release(&two, &mix, &[]), &by, anything)
        .await
        .unwrap()
        .unwrap();

    let names = |packages: Vec<crate::state::packages::ListedPackage>| {
        packages.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names(state.listed("acme").await.unwrap()), ["Web", "core"], "ordered by bytes");
    assert_eq!(state.listed_package("acme", "core").await.unwrap().unwrap().releases.len(), 2);
    let found = state.package("acme", "Web").await.unwrap().unwrap();
    assert_eq!((found.releases[0].requirements.as_slice(), &found.releases[0].about), (web.as_slice(), &rebar));
    assert_eq!(found.owners.into_iter().collect::<Vec<_>>(), [("alice".to_owned(), OwnerLevel::Full)]);
    let search = async |depends, tool| {
        state.search("acme", depends, tool).await.unwrap().into_iter().map(|found| found.name).collect::<Vec<_>>()
    };
    assert_eq!(search(None, None).await, ["Web", "core"]);
    assert_eq!(search(None, Some("mix")).await, ["core"]);
    assert_eq!(search(None, Some("mi")).await, Vec::<String>::new());
    assert_eq!(search(Some(("core", None)), None).await, ["Web"]);
    assert_eq!(search(Some(("plug", Some(["hexpm", "other"]))), Some("rebar3")).await, ["Web"]);
    assert_eq!(search(Some(("plug", Some(["acme", "other"]))), None).await, Vec::<String>::new());
    let dependants = state.dependants("acme", "core").await.unwrap();
    assert_eq!(dependants.iter().map(|(of, name)| format!("{of}/{name}")).collect::<Vec<_>>(), ["acme/Web"]);
    assert!(state.was_published("acme", "core").await.unwrap() && !state.was_published("other", "core").await.unwrap());

    let docs = Docs { digest: Sha256::of(b"docs"), size: 3 };
    state.set_docs(at(4), core, Some(&docs), &by).await.unwrap();
    let retirement = Retirement { reason: RetirementReason::Security, message: Some("see 1.1.0".to_owned()) };
    state.retire(at(5), core, Some(&retirement), &by).await.unwrap();
    let first = |package: Option<crate::state::packages::ListedPackage>| {
        package.unwrap().releases.into_iter().find(|one| one.version == "1.0.0").unwrap()
    };
    let listed = first(state.listed_package("acme", "core").await.unwrap());
    assert_eq!((listed.docs, listed.retirement), (Some(docs), Some(retirement.clone())));
    state.retire(at(6), core, None, &by).await.unwrap();
    assert_eq!(first(state.listed_package("acme", "core").await.unwrap()).retirement, None);
    assert_eq!(state.named_files().await.unwrap(), [one, two, docs.digest].into_iter().collect());

    state.remove_release(at(7), core, (false, "reverted"), &by, anything).await.unwrap().unwrap();
    let buried = state.tombstone("acme", "core", "1.0.0").await.unwrap().unwrap();
    assert_eq!((buried.outer, buried.is_final, buried.reason.as_str()), (one, false, "reverted"));
    assert!(state.clear_tombstone(at(8), core, &by).await.unwrap());
    assert!(state.restore_tombstone(at(8), core, &buried, &[], &by).await.unwrap());
    assert!(!state.restore_tombstone(at(8), core, &buried, &[], &by).await.unwrap(), "it is not newer");
    state.remove_release(at(9), ("acme", "core", Some("1.1.0")), (true, "bad"), &by, anything).await.unwrap().unwrap();
    assert!(state.tombstone("acme", "core", "1.1.0").await.unwrap().unwrap().is_final);
    assert_eq!(state.package("acme", "core").await.unwrap(), None, "the package has no releases");
    assert!(
        state.claimed("acme").await.unwrap().has("core")
            && state.forget_name(at(10), ("acme", "core"), &by).await.unwrap() == ForgottenName::Done
    );
    assert!(!database.open().await.claimed("acme").await.unwrap().has("core"));
    assert_eq!(state.audit_of_package("acme", "core", 1).await.unwrap().len(), 9);
    assert_eq!(state.audit_of_repository("acme", 1).await.unwrap().len(), 10);
}

async fn changes_owe_sidecars_until_they_are_written(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    publish(&state, ("acme", "core", Some("1.0.0")), "one", 1).await;
    let first = state.sidecar_mark("acme", "core").unwrap();
    state.retire(at(2), ("acme", "core", Some("1.0.0")), None, &by).await.unwrap();
    let second = state.sidecar_mark("acme", "core").unwrap();
    assert_eq!(state.owed_sidecars("acme").await.unwrap(), [("core".to_owned(), second)]);
    state.sidecars_written(first).await.unwrap();
    state.clear_written_sidecars().await.unwrap();
    assert_eq!(state.owed_sidecars("acme").await.unwrap(), [("core".to_owned(), second)], "of an earlier change");
    assert_eq!(database.open().await.owed_sidecars("acme").await.unwrap(), [("core".to_owned(), second)]);
    state.sidecars_written(second).await.unwrap();
    state.clear_written_sidecars().await.unwrap();
    assert_eq!(state.owed_sidecars("acme").await.unwrap(), []);
    assert_eq!(state.sidecar_mark("acme", "core"), None);
    state.owe_sidecars("acme", &["core"]).await.unwrap();
    assert_eq!(state.owed_sidecars("acme").await.unwrap().len(), 1);
    assert_eq!(state.owed_sidecars("other").await.unwrap(), []);
}

async fn owners_change_and_releases_are_restored(database: Database) {
    let (state, by) = (database.open().await, Actor::console());
    publish(&state, ("acme", "core", Some("1.0.0")), "one", 5).await;
    let core = ("acme", "core", None);
    state.set_owner(at(6), core, ("bob", OwnerLevel::Maintainer), false, &by, anything).await.unwrap().unwrap();
    assert_eq!(state.owner_level("acme", "core", "bob").await.unwrap(), Some(OwnerLevel::Maintainer));
    state.remove_owner(at(7), core, "alice", &by, anything).await.unwrap().unwrap();
    assert_eq!(state.owned("bob").await.unwrap(), [("acme".to_owned(), "core".to_owned())]);
    state.set_owner(at(8), core, ("carol", OwnerLevel::Full), true, &by, anything).await.unwrap().unwrap();
    assert_eq!(state.owned("bob").await.unwrap(), []);
    state.disown(at(9), core, "acme", &by).await.unwrap();
    assert!(!state.is_owned("acme", "core").await.unwrap());

    let (content, about) = (Sha256::of(b"two"), about("mix"));
    let restored = RestoredRelease {
        release: release(&content, &about, &[]),
        inserted_at: at(2),
        published_at: at(3),
        updated_at: at(3),
        docs: None,
        retirement: None,
        owners: &[("dave".to_owned(), OwnerLevel::Full)],
    };
    assert!(state.restore(at(10), ("acme", "core", Some("0.9.0")), &restored, &by).await.unwrap());
    assert!(!state.restore(at(10), ("acme", "core", Some("0.9.0")), &restored, &by).await.unwrap(), "it is not newer");
    let package = state.package("acme", "core").await.unwrap().unwrap();
    assert_eq!((package.inserted_at, package.updated_at, package.releases.len()), (at(2), at(5), 2));
    assert!(state.is_owned("acme", "core").await.unwrap());
}

on_each_engine!(
    what_is_published_is_listed_found_and_removed,
    changes_owe_sidecars_until_they_are_written,
    owners_change_and_releases_are_restored
);
